package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// suite is the Debian that is installed on.
const suite = "bookworm"

// A machine is a running Debian in namespaces of its own, with systemd as its first process.
type machine struct {
	root string // its file system, thrown away at the end
	init *exec.Cmd
	pid  string // of systemd, as it is seen from outside
	log  *os.File
}

// bootScript makes the file system a root of its own, because PrivateUsers= is not to be had in a chroot, and starts
// systemd in it. It has no network but its own loopback.
const bootScript = `set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mkdir dev/pts dev/shm .outside
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . .outside
umount -l /.outside
mount --make-rshared / # in a container, systemd leaves that to whoever started it
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=multi-user.target --log-target=journal
`

// boot starts a machine with these files in /opt, under their names there.
func boot(ctx context.Context, base string, files map[string]string) (*machine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("namespaces with systemd in them need root")
	}
	if err := debootstrap(ctx, base); err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp(filepath.Dir(base), "machine-")
	if err != nil {
		return nil, err
	}
	m := &machine{root: root}
	if err := m.start(ctx, base, files); err != nil {
		m.shutDown()
		return nil, err
	}
	return m, nil
}

// debootstrap makes the Debian that machines are copies of, unless it is there.
func debootstrap(ctx context.Context, base string) error {
	if _, err := os.Stat(base); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return err
	}
	unfinished := base + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include=systemd,ca-certificates", suite, unfinished).CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap (Debian's package of that name must be installed): %w\n%s", err, lastLines(string(out), 20))
	}
	return os.Rename(unfinished, base)
}

func (m *machine) start(ctx context.Context, base string, files map[string]string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-a", base+"/.", m.root).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w %s", base, err, out)
	}
	for name, path := range files {
		if out, err := exec.CommandContext(ctx, "install", "-m", "755", path, filepath.Join(m.root, "opt", name)).CombinedOutput(); err != nil {
			return fmt.Errorf("put %s there: %w %s", path, err, out)
		}
	}
	var err error
	if m.log, err = os.Create(filepath.Join(m.root, "console.log")); err != nil {
		return err
	}
	m.init = exec.Command("unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup", "--fork", "--kill-child", "sh", "-c", bootScript, "boot", m.root)
	m.init.Stdout, m.init.Stderr = m.log, m.log
	if err := m.init.Start(); err != nil {
		return err
	}
	return m.awaitBoot(ctx)
}

// awaitBoot waits until systemd has started what it is to start.
func (m *machine) awaitBoot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if m.pid == "" {
			m.pid = childOf(m.init.Process.Pid)
		} else if state, _ := m.run(ctx, "systemctl", "is-system-running"); strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded") {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	console, _ := os.ReadFile(m.log.Name())
	return fmt.Errorf("systemd did not come up within a minute\n%s", lastLines(string(console), 40))
}

// childOf is the first child of a process; empty when it has none yet.
func childOf(pid int) string {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(children)), " ")
	return first
}

// run runs a program in the machine, and returns what it printed.
func (m *machine) run(ctx context.Context, args ...string) (string, error) {
	inside := exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", m.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
	}, args...)...)
	out, err := inside.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// write puts a file into the machine.
func (m *machine) write(path, content string, mode fs.FileMode) error {
	return os.WriteFile(filepath.Join(m.root, path), []byte(content), mode)
}

// has reports whether something is there.
func (m *machine) has(path string) bool {
	_, err := os.Lstat(filepath.Join(m.root, path))
	return err == nil
}

// journal is the end of what the service and systemd said, for whoever looks for a fault.
func (m *machine) journal(ctx context.Context) string {
	said, err := m.run(ctx, "journalctl", "--no-pager", "-n", "40")
	if err != nil {
		return err.Error()
	}
	return said
}

// shutDown ends everything in the machine, and throws it away.
func (m *machine) shutDown() {
	if m.init != nil && m.init.Process != nil {
		if pid, err := strconv.Atoi(m.pid); err == nil {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill() // the first process of its namespace, so that all others end with it
			}
		}
		_ = m.init.Process.Kill()
		_ = m.init.Wait()
	}
	if m.log != nil {
		_ = m.log.Close()
	}
	_ = os.RemoveAll(m.root)
}

// lastLines are the last so many lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
