package cli_test

import (
	"bytes"
	"context"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ducklens/cli"
)

// run runs the program in this process.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = cli.Run(ctx, append([]string{"ducklens"}, args...), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   string
		code   int
		stdout string // a part
		stderr string // whole
	}{
		{"version", cli.ExitOK, "ducklens " + cli.Release, ""},
		{"--help", cli.ExitOK, "Usage:", ""},
		{"", cli.ExitOK, "Usage:", ""},
		{"queries", cli.ExitOK, "Usage:", ""},
		{"versoin", cli.ExitUsage, "", "ducklens: no command \"versoin\" in ducklens\nhint: did you mean ducklens version?\n"},
		{"version now", cli.ExitUsage, "", "ducklens: \"now\" is one argument too many\nhint: ducklens version --help\n"},
		{"version --yaml", cli.ExitUsage, "", "ducklens: unknown flag: --yaml\nhint: ducklens version --help\n"},
		{"completion", cli.ExitUsage, "", "ducklens: SHELL is missing\nhint: ducklens completion --help\n"},
		{"query", cli.ExitUsage, "", "ducklens: FILE and NAME are missing\nhint: ducklens query --help\n"},
		{"completion tcsh", cli.ExitUsage, "", "ducklens: shell \"tcsh\", want one of bash, zsh, fish, powershell\nhint: ducklens completion --help\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t.Context(), strings.Fields(c.args)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout, c.stdout) || c.stdout == "" && stdout != "" {
				t.Errorf("stdout %q, want %q in it", stdout, c.stdout)
			}
			if stderr != c.stderr {
				t.Errorf("stderr %q, want %q", stderr, c.stderr)
			}
		})
	}
}

// TestDocumented checks that every command has a description and examples, and checks its arguments.
func TestDocumented(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	count := 0
	visit = func(cmd *cobra.Command) {
		count++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q, want a phrase without a full stop", cmd.CommandPath(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()+" ") && !strings.Contains(cmd.Example, cmd.CommandPath()+"\n") && !strings.HasSuffix(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: examples %q, want one of the command", cmd.CommandPath(), cmd.Example)
		}
		if cmd.Args == nil {
			t.Errorf("%s: arguments are not checked", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			if sub.GroupID == "" && cmd.ContainsGroup("make") {
				t.Errorf("%s: in no group of the help", sub.CommandPath())
			}
			visit(sub)
		}
	}
	visit(cli.NewRoot())
	if count < 10 {
		t.Errorf("%d commands, want the whole tree", count)
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		main, revision, want string
	}{
		{"(devel)", "", cli.Release + "-dev"},
		{"(devel)", "0123456789abcdef", cli.Release + "-dev+0123456789ab"},
		{"v1.2.3", "", "1.2.3"},
		{"v0.0.0-20260102030405-0123456789ab", "0123456789abcdef", cli.Release + "-dev+0123456789ab"},
		{"v1.2.4-0.20260102030405-0123456789ab", "", cli.Release + "-dev"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.main}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: c.revision}}}
		if got := cli.VersionOf(info); got != c.want {
			t.Errorf("version of %q at %q: %q, want %q", c.main, c.revision, got, c.want)
		}
	}
}

// TestChangelog checks that the newest heading of the changelog is the program's version.
func TestChangelog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n## ["+cli.Release+"]") {
		t.Errorf("CHANGELOG.md has no heading ## [%s]", cli.Release)
	}
}
