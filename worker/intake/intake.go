// Package intake lets jobs in that do not come on NATS: it receives them over HTTP, and polls streams of Shared Signals.
//
// What comes is verified and made into a job, stored in the stream of jobs, and answered only then: a sender hears of
// success once JetStream has acknowledged the job, and otherwise keeps what it has. The room stores jobs and nothing else;
// it knows no Web Server.
package intake
