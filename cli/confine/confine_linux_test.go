package confine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ducklens/cli/confine"
)

// asChild tells the process of a test that it is to confine itself, in which folder, and where a server
// listens; without a folder, that it is to be a server itself.
const asChild = "DUCKLENS_CONFINE"

func TestMain(m *testing.M) {
	switch words := strings.Fields(os.Getenv(asChild)); len(words) {
	case 2:
		child(words[0], words[1])
		return
	case 1:
		childServer(words[0])
		return
	}
	os.Exit(m.Run())
}

// child confines itself, and prints what it can do then.
func child(dir, server string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	// Threads that are there before must be confined too.
	var ready, confined, done sync.WaitGroup
	ready.Add(4)
	confined.Add(1)
	var mu sync.Mutex
	for range 4 {
		done.Go(func() {
			runtime.LockOSThread()
			ready.Done()
			confined.Wait()
			_, err := os.ReadFile(in("secret"))
			mu.Lock()
			fmt.Println("thread reads another file:", err == nil)
			mu.Unlock()
		})
	}
	ready.Wait()
	if err := confine.Process(confine.Paths{Read: []string{in("read"), in("missing")}, Write: []string{"/dev/full"}, Folders: []string{in("folder")}, Temporary: in("more/own")}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	confined.Done()
	done.Wait()
	try := func(what string, f func() error) { fmt.Printf("%s: %v\n", what, f() == nil) }
	try("reads its file", func() error { _, err := os.ReadFile(in("read")); return err })
	try("reads another file", func() error { _, err := os.ReadFile(in("secret")); return err })
	try("reads /etc/passwd", func() error { _, err := os.ReadFile("/etc/passwd"); return err })
	try("lists another folder", func() error { _, err := os.ReadDir("/etc"); return err })
	try("writes its file", func() error { return os.WriteFile(in("read"), nil, 0o600) })
	try("makes a file elsewhere", func() error { return os.WriteFile(in("new"), nil, 0o600) })
	try("removes another file", func() error { return os.Remove(in("secret")) })
	try("moves another file", func() error { return os.Rename(in("secret"), in("folder/secret")) })
	try("links another file", func() error { return os.Link(in("secret"), in("folder/linked")) })
	try("runs a program", func() error { return exec.Command("/bin/true").Run() })
	try("connects", func() error {
		d := net.Dialer{Timeout: time.Second}
		d.SetMultipathTCP(false)
		c, err := d.DialContext(context.Background(), "tcp", server)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	try("listens", func() error { return listens(0) })
	try("writes in its folder", func() error { return os.WriteFile(in("folder/new"), []byte("x"), 0o600) })
	try("makes a folder in it", func() error { return os.Mkdir(in("folder/sub"), 0o700) })
	try("moves from folder to folder in it", func() error { return os.Rename(in("folder/new"), in("folder/sub/new")) })
	try("links from folder to folder in it", func() error { return os.Link(in("folder/sub/new"), in("folder/again")) })
	try("removes in it", func() error { return os.RemoveAll(in("folder/sub")) })
	try("writes in its temporary folder", func() error { return os.WriteFile(in("more/own/x"), nil, 0o600) })
	try("writes beside it", func() error { return os.WriteFile(in("more/x"), nil, 0o600) })
	try("removes it", func() error { return errors.Join(os.RemoveAll(in("more/own/x")), os.Remove(in("more/own"))) })
	try("removes a file beside it", func() error { return os.Remove(in("more/secret")) })
	try("opens /dev/null", func() error { f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); _ = f.Close(); return err })
	try("opens /dev/full", func() error { f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); _ = f.Close(); return err })
	try("reads about itself", func() error { _, err := os.ReadFile("/proc/self/statm"); return err })
}

// childServer confines itself but for a port that the system chooses, and prints what it can do then.
func childServer(server string) {
	if err := confine.Process(confine.Paths{Ports: []int{0}}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listens:", listens(0) == nil)
	fmt.Println("listens at another port:", listens(portOf(server)+1) == nil)
	var d net.Dialer
	d.SetMultipathTCP(false)
	_, err := d.DialContext(context.Background(), "tcp", server)
	fmt.Println("connects:", err == nil)
	_, err = os.ReadFile("/etc/passwd")
	fmt.Println("reads /etc/passwd:", err == nil)
}

// listens tries to listen at a port of this machine.
func listens(port int) error {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	l, err := c.Listen(context.Background(), "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		err = l.Close()
	}
	return err
}

func portOf(address string) (port int) {
	_, text, _ := net.SplitHostPort(address)
	_, _ = fmt.Sscan(text, &port)
	return port
}

// TestPorts: a server that confined itself listens where it said, and reaches nobody.
func TestPorts(t *testing.T) {
	t.Parallel()
	if !strings.Contains(confine.Support(), "TCP away") && !strings.Contains(confine.Support(), "network away") {
		t.Skip("this kernel cannot: ", confine.Support())
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"="+server.Addr().String())
	out, err := cmd.CombinedOutput()
	if want := "listens: true\nlistens at another port: false\nconnects: false\nreads /etc/passwd: false\n"; err != nil || string(out) != want {
		t.Errorf("%v: it prints\n%s\nwant\n%s", err, out, want)
	}
}

// TestProcess: a process that confined itself has its own files, and cannot reach another or connect to a
// server.
func TestProcess(t *testing.T) {
	t.Parallel()
	if !strings.Contains(confine.Support(), "TCP away") && !strings.Contains(confine.Support(), "network away") {
		t.Skip("this kernel cannot: ", confine.Support())
	}
	dir := t.TempDir()
	for _, name := range []string{"read", "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder", "more/own"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "more/secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"="+dir+" "+server.Addr().String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := strings.Repeat("thread reads another file: false\n", 4) + `reads its file: true
reads another file: false
reads /etc/passwd: false
lists another folder: false
writes its file: false
makes a file elsewhere: false
removes another file: false
moves another file: false
links another file: false
runs a program: false
connects: false
listens: false
writes in its folder: true
makes a folder in it: true
moves from folder to folder in it: true
links from folder to folder in it: true
removes in it: true
writes in its temporary folder: true
writes beside it: false
removes it: true
removes a file beside it: false
opens /dev/null: true
opens /dev/full: true
reads about itself: true
`
	if string(out) != want {
		t.Errorf("it prints\n%s\nwant\n%s", out, want)
	}
}
