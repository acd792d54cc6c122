package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	unit           = "logoff-worker.service"
	webPassword    = "web-canary-1"
	natsPassword   = "nats-canary-2"
	mostExposure   = 15 // of systemd-analyze security, in tenths
	jobsAtWork     = 200
	jobsAtUpgrade  = 3000
	stopsWithin    = 30 * time.Second
	settingsFolder = "/etc/logoff-worker"
	stateFolder    = "/var/lib/private/logoff-worker"
)

// install installs the package. It starts nothing: its settings are an example.
func (l life) install(ctx context.Context) error {
	said, err := l.run(ctx, "dpkg", "-i", l.before)
	if err != nil {
		return err
	}
	if !strings.Contains(said, "systemctl enable --now logoff-worker") {
		return fmt.Errorf("it does not say what to do next: %s", said)
	}
	if state, _ := l.run(ctx, "systemctl", "is-active", unit); state != "inactive" {
		return fmt.Errorf("the service is %s right after the installation", state)
	}
	if _, err := l.run(ctx, "sh", "-c", "zcat /usr/share/man/man1/logoff-worker.1.gz | grep -q LOGOFF_WEBSERVER_URL"); err != nil {
		return fmt.Errorf("the manual page: %w", err)
	}
	if _, err := l.run(ctx, "sh", "-c", "logoffctl --version && zcat /usr/share/man/man1/logoffctl.1.gz | grep -q submit && bash -n /usr/share/bash-completion/completions/logoffctl"); err != nil {
		return fmt.Errorf("the operator's tool: %w", err)
	}
	return nil
}

// checkCommand is how deploy/README.md has the settings checked before the service is started.
const checkCommand = `set -a; . /etc/logoff-worker/logoff-worker.env; cd /etc/logoff-worker/secrets; LOGOFF_WEBSERVER_PASSWORD_FILE=webserver-password LOGOFF_NATS_PASSWORD_FILE=nats-password LOGOFF_NATS_STORE_DIR=/var/lib/logoff-worker logoff-worker check`

// check fills in what an operator fills in, for a simulated Web Server, and has it checked.
func (l life) check(ctx context.Context) error {
	if _, err := l.run(ctx, "systemd-run", "--unit=simulator", "/opt/simulator", "-people", "0", "-password", webPassword, "-latency", "100ms"); err != nil {
		return err
	}
	if _, err := l.run(ctx, "sed", "-i", "s|^LOGOFF_WEBSERVER_URL=.*|LOGOFF_WEBSERVER_URL=http://127.0.0.1:8081/commandcenter/api|; s|^LOGOFF_WEBSERVER_USERNAME=.*|LOGOFF_WEBSERVER_USERNAME=admin|",
		settingsFolder+"/logoff-worker.env"); err != nil {
		return err
	}
	for name, secret := range map[string]string{"webserver-password": webPassword, "nats-password": natsPassword} {
		if err := l.write(settingsFolder+"/secrets/"+name, secret+"\n", 0o600); err != nil {
			return err
		}
	}
	said, err := l.run(ctx, "sh", "-c", checkCommand)
	if err != nil || !strings.Contains(said, "ok    webserver") {
		return fmt.Errorf("%s: %w", said, err)
	}
	return nil
}

// start starts the service.
func (l life) start(ctx context.Context) error {
	if _, err := l.run(ctx, "systemctl", "enable", "--now", unit); err != nil {
		return err
	}
	return l.ready(ctx)
}

// ready waits until the service says that it is.
func (l life) ready(ctx context.Context) error {
	return l.drive(ctx, "ready")
}

// drive has the publisher in the machine do something.
func (l life) drive(ctx context.Context, args ...string) error {
	said, err := l.run(ctx, append([]string{"/opt/install", "drive", "-password", natsPassword}, args...)...)
	if err == nil && said != "" {
		fmt.Fprintln(l.out, said)
	}
	return err
}

// mainPID is the service's process.
func (l life) mainPID(ctx context.Context) (string, error) {
	return l.run(ctx, "systemctl", "show", "--property=MainPID", "--value", unit)
}

func (l life) work(ctx context.Context) error {
	if err := l.drive(ctx, "publish", strconv.Itoa(jobsAtWork)); err != nil {
		return err
	}
	return l.drive(ctx, "await", strconv.Itoa(jobsAtWork))
}

// exposure has systemd judge the unit that runs.
func (l life) exposure(ctx context.Context) error {
	said, err := l.run(ctx, "systemd-analyze", "security", "--no-pager", "--threshold="+strconv.Itoa(mostExposure), unit)
	if err != nil {
		return err
	}
	fmt.Fprintln(l.out, lastLines(said, 1))
	user, err := l.mainPID(ctx)
	if err != nil {
		return err
	}
	if status, err := l.run(ctx, "sh", "-c", "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/"+user+"/status"); err != nil ||
		!strings.Contains(status, "CapEff:\t0000000000000000") || !strings.Contains(status, "NoNewPrivs:\t1") || !strings.Contains(status, "Seccomp:\t2") {
		return fmt.Errorf("the process has rights that it does not need: %s %w", status, err)
	}
	return nil
}

// upgrade installs the later version while jobs are in hand. None is lost, and none is worked by the old version alone.
func (l life) upgrade(ctx context.Context) error {
	if err := l.drive(ctx, "publish", strconv.Itoa(jobsAtUpgrade)); err != nil {
		return err
	}
	if err := l.drive(ctx, "inhand"); err != nil {
		return err
	}
	before, err := l.mainPID(ctx)
	if err != nil {
		return err
	}
	if _, err := l.run(ctx, "dpkg", "-i", l.after); err != nil {
		return err
	}
	if after, err := l.mainPID(ctx); err != nil || after == before || after == "0" {
		return fmt.Errorf("the process was %s and is %s after the upgrade: %w", before, after, err)
	}
	if env, err := l.run(ctx, "grep", "^LOGOFF_WEBSERVER_URL=", settingsFolder+"/logoff-worker.env"); err != nil || !strings.Contains(env, "127.0.0.1") {
		return fmt.Errorf("the settings are %q after the upgrade: %w", env, err)
	}
	if err := l.ready(ctx); err != nil {
		return err
	}
	return l.drive(ctx, "await", strconv.Itoa(jobsAtWork+jobsAtUpgrade))
}

// reload drops no work, and the service goes on as the same process.
func (l life) reload(ctx context.Context) error {
	before, _ := l.mainPID(ctx)
	if _, err := l.run(ctx, "systemctl", "reload", unit); err != nil {
		return err
	}
	if after, _ := l.mainPID(ctx); after != before {
		return fmt.Errorf("the process was %s and is %s after a reload", before, after)
	}
	return l.ready(ctx)
}

// stop ends the service as it should end, and nothing of what it knew stands in the journal.
func (l life) stop(ctx context.Context) error {
	begun := time.Now()
	if _, err := l.run(ctx, "systemctl", "stop", unit); err != nil {
		return err
	}
	took := time.Since(begun)
	result, err := l.run(ctx, "systemctl", "show", "--property=Result,ExecMainStatus,NRestarts", unit)
	if err != nil {
		return err
	}
	if took > stopsWithin || !strings.Contains(result, "Result=success") || !strings.Contains(result, "ExecMainStatus=0") || !strings.Contains(result, "NRestarts=0") {
		return fmt.Errorf("it took %s and ended so: %s", took.Round(time.Second), result)
	}
	said, err := l.run(ctx, "journalctl", "--no-pager", "-u", unit)
	if err != nil {
		return err
	}
	if strings.Contains(said, webPassword) || strings.Contains(said, natsPassword) {
		return errors.New("a secret stands in the journal")
	}
	return nil
}

// remove keeps what the operator and the worker have put there.
func (l life) remove(ctx context.Context) error {
	if _, err := l.run(ctx, "systemctl", "start", unit); err != nil { // it is to be removed while it runs
		return err
	}
	if _, err := l.run(ctx, "dpkg", "--remove", "logoff-worker"); err != nil {
		return err
	}
	if state, _ := l.run(ctx, "systemctl", "is-active", unit); state != "inactive" && state != "unknown" {
		return fmt.Errorf("the service is %s after the removal", state)
	}
	for _, path := range []string{"/usr/bin/logoff-worker", "/lib/systemd/system/logoff-worker.service", "/etc/systemd/system/multi-user.target.wants/logoff-worker.service"} {
		if l.has(path) {
			return fmt.Errorf("%s is still there", path)
		}
	}
	for _, path := range []string{settingsFolder + "/logoff-worker.env", settingsFolder + "/secrets/nats-password", stateFolder} {
		if !l.has(path) {
			return fmt.Errorf("%s is gone", path)
		}
	}
	return nil
}

// purge leaves nothing.
func (l life) purge(ctx context.Context) error {
	if _, err := l.run(ctx, "dpkg", "--purge", "logoff-worker"); err != nil {
		return err
	}
	for _, path := range []string{settingsFolder, stateFolder, "/var/lib/logoff-worker", "/usr/share/doc/logoff-worker"} {
		if l.has(path) {
			return fmt.Errorf("%s is still there", path)
		}
	}
	if failed, err := l.run(ctx, "systemctl", "list-units", "--failed", "--no-legend", "--plain"); err != nil || failed != "" {
		return fmt.Errorf("units have failed: %s %w", failed, err)
	}
	return nil
}
