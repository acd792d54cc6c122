package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/worker/broker"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
	"logoffworker/worker/webserver/simulator"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"logoff-worker": main})
}

// TestScripts runs the program as a person would. NATS and a Web Server are there, at $NATS and
// $WEBSERVER; nothing listens at $NOBODY. $PAIR is a file with an access token and its refresh token,
// $TOKEN the token of a login, and $BEARER an access token, which has no session. $EXAMPLES has messages of security
// systems, and the issuers file that their verdicts assume.
func TestScripts(t *testing.T) {
	bubble.SkipsUnderRace(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			b, err := broker.Start(broker.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
			if err != nil {
				return err
			}
			env.Defer(b.Shutdown)
			sim := simulator.New(simulator.Settings{}, 1)
			sim.AddUser(simulator.User{ID: 1, Login: "admin", Display: "Administrator", Password: "canary-password", Administrator: true})
			sim.AddUser(simulator.User{ID: 7, Login: "jane"})
			sim.SignOn(7, simulator.ConsoleWeb)
			server := httptest.NewServer(sim)
			env.Defer(server.Close)
			pair := filepath.Join(env.WorkDir, "pair.json")
			if err := writePair(pair, sim); err != nil {
				return err
			}
			env.Setenv("PAIR", pair)
			env.Setenv("TOKEN", sim.Token(1))
			access, _ := sim.AccessToken(1)
			env.Setenv("BEARER", "Bearer "+access)
			env.Setenv("NATS", b.URL())
			env.Setenv("WEBSERVER", server.URL+"/commandcenter/api")
			examples, err := filepath.Abs(root + "/jobs/signals/testdata")
			if err != nil {
				return err
			}
			env.Setenv("EXAMPLES", examples)
			nobody, err := stage.FreeAddress()
			env.Setenv("NOBODY", nobody)
			env.Setenv("LOGOFF_HTTP_ADDR", "127.0.0.1:0")
			env.Setenv("HOME", os.Getenv("HOME"))
			return err
		},
	})
}

// writePair has user 1 make an access token, and writes the file of it that an operator would.
func writePair(path string, sim *simulator.Server) error {
	access, refresh := sim.AccessToken(1)
	chains := sim.Chains()
	text := fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q,"tokenExpiryTimestamp":%d}`, access, refresh, chains[len(chains)-1].Expiry.Unix())
	return os.WriteFile(path, []byte(text), 0o600)
}
