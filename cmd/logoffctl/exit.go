package main

import (
	"context"
	"errors"
	"fmt"
)

// An exitError is an error that decides the exit code. One without words has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// The exit codes.
const (
	codeNotSo       = 1
	codeUsage       = 2
	codeUnclear     = 3
	codeLate        = 4
	codeHeld        = 5
	codeInterrupted = 130
)

// notSo says that what was asked for is not so: something is not known to be off, not well, or not as the audit says.
func notSo(format string, values ...any) error { return exit(codeNotSo, format, values...) }

// badUsage says that the command line or its input is wrong. Nothing was stored or changed.
func badUsage(format string, values ...any) error { return exit(codeUsage, format, values...) }

// unclear says that it could not be found out: NATS cannot be reached, a right is missing, no worker answers.
func unclear(format string, values ...any) error { return exit(codeUnclear, format, values...) }

// late says that jobs are stored, and their results did not come in time.
func late(format string, values ...any) error { return exit(codeLate, format, values...) }

// isHeld says that jobs wait for somebody's approval.
func isHeld(format string, values ...any) error { return exit(codeHeld, format, values...) }

// interrupted says that the program was told to end; what was stored has been printed.
func interrupted(format string, values ...any) error { return exit(codeInterrupted, format, values...) }

// exit is an error with an exit code; an empty format is one that has been told.
func exit(code int, format string, values ...any) error {
	if format == "" {
		return &exitError{code: code}
	}
	return &exitError{code, fmt.Errorf(format, values...)}
}

// exitCode is that of an error. One that says nothing of a code is of something that could not be found out.
func exitCode(ctx context.Context, err error) int {
	var decided *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &decided):
		return decided.code
	case ctx.Err() != nil:
		return codeInterrupted
	}
	return codeUnclear
}

// wordsOf is what a person is told of an error.
func wordsOf(ctx context.Context, err error) string {
	if err != nil && exitCode(ctx, err) == codeInterrupted && errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
