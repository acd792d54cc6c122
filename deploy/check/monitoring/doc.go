// Package monitoring has no code: its tests hold deploy/monitoring to the registry of metrics. Every name and label in
// an alert, a panel or a runbook has to be there, every metric has to have a use, and every alert its runbook. Where
// they are installed, promtool runs the tests of the alerts, and a Prometheus scrapes a worker and evaluates them all.
package monitoring
