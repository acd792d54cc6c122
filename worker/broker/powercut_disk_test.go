//go:build linux

package broker_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

const (
	diskSize = 64 << 20

	// ext4Shutdown is EXT4_IOC_SHUTDOWN, and shutdownNoFlush its EXT4_GOING_FLAGS_NOLOGFLUSH: from that
	// moment the file system writes nothing more, neither data nor its journal.
	ext4Shutdown    = 0x8004587d
	shutdownNoFlush = 2
)

// A disk is an ext4 file system in a file. What programs wrote to it and did not sync is in the page
// cache of the file system and not in the file, as on a real disk it would not be on the platter.
type disk struct {
	image string
	root  *os.File // its root directory, which holds the mount
}

// needsPowerCuts skips where a disk cannot be made, unless power cuts were asked for by the flag.
func needsPowerCuts(t *testing.T) {
	t.Helper()
	missing := missingForDisks(t)
	if missing == "" {
		return
	}
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "powercuts" {
			t.Fatalf("no power can be cut here: %s", missing)
		}
	})
	t.Skipf("no power can be cut here: %s", missing)
}

func missingForDisks(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return "mounting a file system needs root"
	}
	// A container's root may be refused, and a program or a free loop device may be missing.
	d, complaint := tryDisk(t)
	if complaint == "" {
		d.remove(t)
	}
	return complaint
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d, complaint := tryDisk(t)
	if complaint != "" {
		t.Fatal(complaint)
	}
	return d
}

func tryDisk(t *testing.T) (d *disk, complaint string) {
	t.Helper()
	d = blankDisk(t)
	if complaint := run("mkfs.ext4", "-q", d.image); complaint != "" {
		return nil, complaint
	}
	return d, d.mount(t)
}

// blankDisk is a sparse file of zeros.
func blankDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{image: filepath.Join(t.TempDir(), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, diskSize); err != nil {
		t.Fatal(err)
	}
	return d
}

// mount mounts through a loop device and takes the mount out of the directory tree at once: it then
// lives as long as a process has a file of it open, and the loop device as long as the mount. So
// neither is left behind, however this process ends.
func (d *disk) mount(t *testing.T) (complaint string) {
	t.Helper()
	dir := t.TempDir()
	if complaint := run("mount", "-t", "ext4", "-o", "loop", d.image, dir); complaint != "" {
		return complaint
	}
	root, err := os.Open(dir)
	if err := errors.Join(err, syscall.Unmount(dir, syscall.MNT_DETACH)); err != nil {
		t.Fatal(err)
	}
	d.root = root
	t.Cleanup(func() { d.remove(t) })
	return ""
}

// remove unmounts and deletes. Fifty cuts would otherwise fill the machine's disk.
func (d *disk) remove(t *testing.T) {
	t.Helper()
	if d.root == nil {
		return
	}
	if err := errors.Join(d.root.Close(), os.Remove(d.image)); err != nil {
		t.Error(err)
	}
	d.root = nil
}

// storeOn is where a broker keeps its streams on the disk whose root is the file descriptor.
func storeOn(root uintptr) string { return fmt.Sprintf("/proc/self/fd/%d/store", root) }

// cut ends all writing to the disk at one moment. Without it the kernel would go on writing back
// while the file is copied, and the copy would be of no moment at all.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	how := uint32(shutdownNoFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, d.root.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		t.Fatalf("shut down the file system: %v", errno)
	}
}

// copy mounts a copy of the backing file as it is, which is what reached the loop device.
func (d *disk) copy(t *testing.T) *disk {
	t.Helper()
	remains := blankDisk(t)
	if err := copySparse(remains.image, d.image); err != nil {
		t.Fatal(err)
	}
	if complaint := remains.mount(t); complaint != "" {
		t.Fatal(complaint)
	}
	return remains
}

// copySparse copies into a file of zeros and leaves out the zeros.
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(block)) {
		n, err := io.ReadFull(in, block)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if bytes.Equal(block[:n], zeros[:n]) {
			continue
		}
		if _, err := out.WriteAt(block[:n], at); err != nil {
			return err
		}
	}
}

// run runs a program and returns what it complains of.
func run(program string, arguments ...string) (complaint string) {
	out, err := exec.Command(program, arguments...).CombinedOutput()
	if err == nil {
		return ""
	}
	return program + ": " + err.Error() + ": " + strings.TrimSpace(string(out))
}
