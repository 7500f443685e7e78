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

	"ducklens/cli"
	"ducklens/cli/confine"
	"ducklens/cli/demo"
)

// A screenText is what a terminal was sent.
type screenText struct {
	sync.Mutex
	text bytes.Buffer
}

// wait waits until text has come behind the place from, and gives the place behind it.
func (s *screenText) wait(t *testing.T, from int, text string) int {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
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

// pseudoTerminal makes a terminal: its screen and keys, and the file that a program takes for one.
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

// TestShellTerminal is a person at the shell: completion by the tab key, a query that is stopped with Ctrl-C, history, and Ctrl-D.
func TestShellTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	model, file := filepath.Join(dir, "model"), filepath.Join(dir, "run.duckdb")
	if err := demo.Extract(model); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t.Context(), "ingest", "--model", model, "--head", "3.1", "-n", "2", "-o", file); code != cli.ExitOK {
		t.Fatal(stderr)
	}
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
	press("\x03")
	at = screen.wait(t, at, "interrupted")
	took := time.Since(start)
	t.Logf("stopped after %v", took)
	if took > 5*time.Second { // two hundred milliseconds are promised; a busy machine may take longer
		t.Errorf("it stopped after %v", took)
	}
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
	if strings.Contains(confine.Support(), "takes other files away") {
		press(".plot top_heads ../elsewhere.png\r")
		at = screen.wait(t, at, "permission denied")
		screen.wait(t, at, "below the folder")
	}
	time.Sleep(50 * time.Millisecond)
	press("\x04")
	if err := cmd.Wait(); err != nil {
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
