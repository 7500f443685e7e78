package cli_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
)

// TestInterruptedWriters sends SIGINT to every command that writes, at random moments. It must end by itself,
// with the exit code of an interrupt, and leave what was there, or what it writes if it was done, with
// nothing beside it.
func TestInterruptedWriters(t *testing.T) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	for _, k := range preparedWriters(t) {
		path, args := k.start(t)
		// Not before signals are listened for.
		code, stderr, took := interruptAfter(t, 100*time.Millisecond+time.Duration(random.Int64N(int64(k.takes))), args)
		t.Logf("%-15s stopped after %4d ms, exit code %d", k.name, took.Milliseconds(), code)
		if strings.Contains(stderr, ended) {
			t.Errorf("%s did not stop: %s", k.name, stderr)
		}
		digest := ""
		if _, err := os.Lstat(path); err == nil {
			digest = k.digest(t, path)
		}
		switch {
		case code == cli.ExitInterrupted, code == cli.ExitOK:
		case code == -1 && digest == k.before: // ended by the system, before it listened for signals
		default:
			t.Errorf("%s: exit code %d\n%s", k.name, code, stderr)
		}
		switch {
		case digest == k.want, digest == k.before:
		case k.partial:
			k.check(t, path)
			// It may have ended between the commit of its first batch and the word that there is one.
			if !strings.Contains(stderr, "--resume") && !strings.HasSuffix(stderr, "ducklens: interrupted\n") {
				t.Errorf("%s does not say how to go on: %s", k.name, stderr)
			}
			continue // a log may lie beside it
		default:
			t.Errorf("%s: what is there is neither the old nor the new", k.name)
		}
		if digest != "" && k.name != "ingest --force" { // which keeps what it has computed
			k.alone(t, path)
		}
	}
}

// TestFullWriters gives every command that writes a limit on the size of files, as a stand-in for a disk that
// is full. It must fail, and leave what was there with nothing beside it.
func TestFullWriters(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell to set the limit: ", err)
	}
	for _, k := range killedWriters(t) {
		path, args := k.start(t)
		if k.old != "" {
			k.before = k.digest(t, path)
		}
		limit := "1200" // blocks of 512 bytes; an empty database has more than a megabyte
		if k.name == "export" || k.name == "export --force" {
			limit = "8"
		} else if !strings.HasSuffix(path, ".duckdb") {
			limit = "0"
		}
		cmd := exec.CommandContext(t.Context(), shell, append([]string{"-c", `ulimit -f ` + limit + ` && exec ducklens "$@"`, "sh"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != cli.ExitFailed {
			t.Errorf("%s: %v\n%s", k.name, err, out)
		}
		digest := ""
		if _, err := os.Lstat(path); err == nil {
			digest = k.digest(t, path)
		}
		if digest != k.before && k.partial {
			k.check(t, path)
		} else if digest != k.before {
			t.Errorf("%s: what is there is not the old\n%s", k.name, out)
		}
		if k.old != "" && k.name != "ingest --append" { // whose log may lie beside it
			k.alone(t, path)
		}
		if got := names(t, filepath.Dir(path)); k.old == "" && k.name != "figures build" && len(got) > 0 {
			t.Errorf("%s: it has left %q", k.name, got)
		}
	}
}

// interruptAfter starts ducklens, sends it SIGINT after a while, and gives its exit code and how long it took
// to stop.
func interruptAfter(t *testing.T, moment time.Duration, args []string) (code int, stderr string, took time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var sent time.Time
	timer := time.AfterFunc(moment, func() {
		sent = time.Now()
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
	})
	err := cmd.Wait()
	if !timer.Stop() && !sent.IsZero() {
		took = time.Since(sent)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String(), took
}
