//go:build oldnats

package bubble

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startServerClock has a server outside of the bubble start the clock of access times, which servers before 2.11 start
// once in a process, with their first stream. It speaks to the server by hand, because the client library's timers must
// not come from outside.
func startServerClock() {
	if err := makeStream(); err != nil {
		panic(err)
	}
}

func makeStream() error {
	dir, err := os.MkdirTemp("", "clock-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		return err
	}
	go s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the server does not start")
	}
	conn, err := s.InProcessConn()
	if err != nil {
		return err
	}
	defer conn.Close()
	const config = `{"name":"clock","subjects":["clock"],"storage":"file"}`
	go fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.clock made %d\r\n%s\r\nPUB clock made 1\r\nx\r\n", len(config), config) // while what the server says is read
	said := bufio.NewScanner(conn)
	for said.Scan() {
		if strings.Contains(said.Text(), `"stream":"clock"`) { // the message is stored
			return nil
		}
	}
	return fmt.Errorf("the server ended the connection: %w", said.Err())
}
