// Package nats has no code: its tests hold what deploy/nats ships to the code and to a real NATS server.
package nats
