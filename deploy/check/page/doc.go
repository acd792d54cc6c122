// Package page drives the status page in a real Chromium (make page-check): through every state, in light, dark and on
// a phone, beside real workers, a real broker and a simulated Web Server, in real time.
package page
