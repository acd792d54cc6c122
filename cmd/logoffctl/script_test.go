package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"logoffworker/jobs"
	"logoffworker/worker/stage"
	"logoffworker/worker/stage/bubble"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"logoffctl": main})
}

// TestScripts runs the tool as a person would. NATS is at $LOGOFF_NATS_URL, and nothing listens at $NOBODY. The Web
// Server knows CORP\jane, who is user 42 and jane@corp.example, and is signed on. The commands of the scripts:
//
//	code N PROGRAM...   runs a program, which ends with that exit code
//	worker, idle        starts a worker, and stops it
//	settle STATUS       stores a result for the latest job
//	fleet FILE...       workers answer what files say
//	stored N            so many jobs were stored, ever
//	lose                all jobs that wait leave their stream without a result
//	remove N            deletes a result
//	keep DURATION       results are kept for so long; those that were stored before are waited for until they are gone
//	                    where it is shorter than a second
//	now NAME            sets a variable to the time
//	signer FILE         writes the public key that signs digests into a file
//	digest [WHAT N...]  signs the results that no digest covers: as they are, or as if one was another (change N), or
//	                    two had changed places (swap N N); with another key (stranger), or without storing it (unstored)
//	act VERB WHO WHY JOB...  stores the record of an act
//	letters N STATUS LANE PUBLISHER
//	                    stores and settles N jobs with a status, and their dead letters
//	has STREAM N        so many messages are in LOGOFF_STREAM
//	forget-ids          NATS no longer knows the message ids of jobs
func TestScripts(t *testing.T) {
	bubble.SkipsUnderRace(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			w, err := newWorld(t.TempDir(), 3)
			if err != nil {
				return err
			}
			env.Defer(w.close)
			env.Values["world"] = w
			env.Setenv("LOGOFF_NATS_URL", w.broker.URL())
			env.Setenv("NATS", w.broker.URL())
			env.Setenv("USER", "ops")
			nobody, err := stage.FreeAddress()
			env.Setenv("NOBODY", nobody)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":       expectCode,
			"fleet":      joinFleet,
			"letters":    makeLetters,
			"has":        countMessages,
			"forget-ids": forgetIDs,
			"worker":     func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).work()) },
			"idle":       func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).rest() },
			"settle": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(worldOf(ts).settle(jobs.Status(args[0])))
			},
			"lose": cmdLose, "remove": cmdRemove, "keep": cmdKeep,
			"now": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], time.Now().Format(time.RFC3339Nano))
			},
			"signer": cmdSigner, "digest": cmdDigest, "act": cmdAct,
			"stored": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := worldOf(ts).storedEver()
				ts.Check(err)
				if strconv.FormatUint(n, 10) != args[0] {
					ts.Fatalf("%d jobs were stored, not %s", n, args[0])
				}
			},
		},
	})
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

// expectCode runs a program that ends with an exit code.
func expectCode(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		code = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, not %s", strings.Join(args[1:], " "), code, args[0])
	}
}
