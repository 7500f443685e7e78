package smollm2_test

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ducklens/cli"
)

// TestMain makes the test binary serve as the program ducklens, for the commands of documents.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ducklens": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			code := cli.Run(cli.OwnProcess(ctx), os.Args, os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
	})
}

// ducklens calls the program in process and gives what it printed.
func ducklens(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Run(t.Context(), append([]string{"ducklens"}, args...), strings.NewReader(""), &stdout, &stderr); code != cli.ExitOK {
		t.Fatalf("ducklens %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout.String(), stderr.String())
	}
	return stdout.String()
}
