package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ducklens/cli/confine"
)

// A screenText collects what is sent to a terminal.
type screenText struct {
	sync.Mutex
	text bytes.Buffer
}

// wait waits until text appears after the position from, and returns the position after it.
func (s *screenText) wait(t *testing.T, from int, text string) int {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		s.Lock()
		at := strings.Index(s.text.String()[from:], text)
		s.Unlock()
		if at >= 0 {
			return from + at + len(text)
		}
	}
	t.Fatalf("%q did not come; the terminal shows\n%q", text, s.text.String()[from:])
	return 0
}

// pseudoTerminal returns a terminal's screen and keys, and the file that a program uses as the terminal.
func pseudoTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// TestShellTerminal uses the shell as a person does: completion with the tab key, a query stopped with
// Ctrl-C, history, and Ctrl-D.
func TestShellTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := runFile(t, "--head", "3.1", "-n", "2")
	master, terminal := pseudoTerminal(t)
	cmd := exec.CommandContext(t.Context(), "ducklens", "shell", file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.Dir, cmd.Env = filepath.Join(dir, "here"), append(os.Environ(), "TERM=xterm", "XDG_STATE_HOME="+dir)
	if err := os.Mkdir(cmd.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	screen := &screenText{}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			screen.Lock()
			screen.text.Write(buffer[:n])
			screen.Unlock()
			if err != nil {
				return
			}
		}
	}()
	press := func(keys string) {
		t.Helper()
		if _, err := master.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	// insist presses keys until what is given back is called: keys that come before a program listens for
	// them can be lost.
	insist := func(keys string) (enough func()) {
		stop := make(chan struct{})
		go func() {
			for {
				_, _ = master.WriteString(keys) // the terminal may be gone
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
				}
			}
		}()
		return func() { close(stop) }
	}
	at := screen.wait(t, 0, "ducklens> ")
	t.Logf("the prompt came after %v", time.Since(start))

	press("SELECT count(*) AS n FROM contribution_w\t")
	at = screen.wait(t, at, "contribution_wide")
	press(";\r")
	at = screen.wait(t, at, "(1 row, ")

	press("SELECT count(*) FROM range(1000000000) a, range(1000000000) b;\r")
	at = screen.wait(t, at, "\n")
	time.Sleep(300 * time.Millisecond)
	start = time.Now()
	enough := insist("\x03")
	at = screen.wait(t, at, "interrupted")
	enough()
	t.Logf("stopped after %v", time.Since(start))
	at = screen.wait(t, at, "ducklens> ")

	press("SELECT 6*7 AS product;\r")
	at = screen.wait(t, at, "42")
	at = screen.wait(t, at, "ducklens> ")
	press("\x10\r") // Ctrl-P: the last one again
	at = screen.wait(t, at, "42")
	at = screen.wait(t, at, "ducklens> ")
	press("SELECT 'given up\x03")
	at = screen.wait(t, at, "ducklens> ")
	press(".plot top_heads heads.png\r")
	at = screen.wait(t, at, "heads.png\r\n")
	if strings.HasPrefix(confine.Support(), "Landlock") {
		press(".plot top_heads ../elsewhere.png\r")
		at = screen.wait(t, at, "permission denied")
		screen.wait(t, at, "below the folder")
	}
	enough = insist("\x04")
	err := cmd.Wait()
	enough()
	if err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(cmd.Dir, "heads.png")); err != nil {
		t.Error(err)
	}
	history, err := os.ReadFile(filepath.Join(dir, "ducklens", "history"))
	if err != nil || !strings.Contains(string(history), "SELECT 6*7 AS product;\n") || strings.Contains(string(history), "given up") {
		t.Errorf("history %q, error %v", history, err)
	}
}
