package simulator

import (
	"fmt"
	"strings"
	"time"
)

var (
	firstNames = []string{"Jane", "Amir", "Chloe", "Diego", "Emeka", "Freya", "Goran", "Hana", "Ines", "Jonas", "Kavya", "Liam"}
	lastNames  = []string{"Okafor", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kowalski", "Lindqvist"}
)

// Populate adds people, each signed on in every kind of console and with some history of ended
// sessions. Half of them belong to a domain. It returns them without passwords, which they have none
// of: they cannot log in over the API.
func (s *Server) Populate(people int) []User {
	users := make([]User, 0, people)
	for len(users) < people {
		users = append(users, s.populateOne(len(s.Users())))
	}
	return users
}

func (s *Server) populateOne(n int) User {
	first, last := firstNames[n%len(firstNames)], lastNames[n/len(firstNames)%len(lastNames)]
	login := strings.ToLower(first + "." + last)
	if again := n / (len(firstNames) * len(lastNames)); again > 0 {
		login += fmt.Sprint(again + 1)
	}
	u := User{Login: login, Display: first + " " + last, Email: login + "@corp.example"}
	if n%2 == 1 {
		u.Login = `CORP\` + login
	}
	u.ID = s.AddUser(u)

	s.mu.Lock()
	defer s.mu.Unlock()
	person, now := s.users[u.ID], time.Now()
	for ended := 2 + s.random.IntN(3); ended > 0; ended-- {
		login := now.Add(-time.Duration(ended)*24*time.Hour + s.within(8*time.Hour))
		s.end(s.signOn(person, ConsoleWeb, login), login.Add(s.within(2*time.Hour)))
	}
	for i, console := range []int{ConsoleCommCell, ConsoleWeb, ConsoleCommandLine, ConsoleAPI} {
		login := now.Add(-time.Duration(4-i)*time.Hour + s.within(time.Hour))
		s.signOn(person, console, login)
	}
	return u
}

// within is a random duration below d, in whole seconds.
func (s *Server) within(d time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(d/time.Second))) * time.Second
}
