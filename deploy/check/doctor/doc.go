// Package doctor seeds faults into a deployment, one after the other, and has `logoffctl doctor` find each. What it
// prints is then done: a command is run in a shell as it stands there, with the nats command among the programs, and a
// line of a configuration is put where it says. After that the finding is gone (make doctor-check).
package doctor
