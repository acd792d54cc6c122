package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	firstNames = []string{"Jane", "Amir", "Chloe", "Diego", "Emeka", "Freya", "Goran", "Hana", "Ines", "Jonas", "Kavya", "Liam"}
	lastNames  = []string{"Okafor", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kowalski", "Lindqvist"}
)

// Example is the person of the documentation's examples, to be added before others take the userId.
var Example = User{ID: 42, Login: `CORP\jane`, Display: "Jane Doe", Email: "jane@corp.example", UPN: "jane@ad.corp.example", CompanyID: 1, Company: "Corp"}

// Consoles are all types of consoles.
func Consoles() []int {
	return []int{ConsoleCommCell, ConsoleBrowser, ConsoleWeb, ConsoleCommandLine, ConsoleAPI}
}

// Populate adds people, each signed on in every kind of console and with some history of ended
// sessions. Half of them belong to a domain and to its company. It returns them without passwords,
// which they have none of: they cannot log in over the API.
func (s *Server) Populate(people int) []User {
	users, before := make([]User, 0, people), len(s.Users())
	for n := range people {
		u := inventUser(before + n)
		u.ID = s.AddUser(u)
		s.mu.Lock()
		ended := 2 + s.random.IntN(3)
		s.mu.Unlock()
		s.SignOnEverywhere(u.ID, ended)
		users = append(users, u)
	}
	return users
}

func inventUser(n int) User {
	first, last := firstNames[n%len(firstNames)], lastNames[n/len(firstNames)%len(lastNames)]
	login := strings.ToLower(first + "." + last)
	if again := n / (len(firstNames) * len(lastNames)); again > 0 {
		login += fmt.Sprint(again + 1)
	}
	u := User{Login: login, Display: first + " " + last, Email: login + "@corp.example"}
	if n%2 == 1 {
		u.Login, u.UPN, u.CompanyID, u.Company = `CORP\`+login, login+"@ad.corp.example", 1, "Corp"
	}
	return u
}

// SignOnEverywhere gives a person a history of ended Web Console sessions over the last days, one a
// day, and a session that is on in each of the [Consoles], begun in the last hours. It returns the
// IDs, those that are on in the order of the Consoles, those that have ended newest first. It panics
// if there is no such user.
func (s *Server) SignOnEverywhere(userID, ended int) (on, off []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	person, now := s.mustKnow(userID), time.Now()
	s.catchUp(now)
	for day := ended; day > 0; day-- {
		login := now.Add(-time.Duration(day)*24*time.Hour + s.within(8*time.Hour))
		past := s.signOn(person, ConsoleWeb, login)
		s.end(past, login.Add(s.within(2*time.Hour)))
		off = append(off, past.ID)
	}
	slices.Reverse(off)
	consoles := Consoles()
	for i, console := range consoles {
		login := now.Add(-time.Duration(len(consoles)-i)*time.Hour + s.within(time.Hour))
		on = append(on, s.signOn(person, console, login).ID)
	}
	return on, off
}

// within is a random duration below d, in whole seconds.
func (s *Server) within(d time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(d/time.Second))) * time.Second
}
