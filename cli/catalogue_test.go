package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/cli/demo"
	"ducklens/schema/schematest"
)

// TestCatalogueHostile checks that a catalogue opens only files of its data set, and that errors say what is
// wrong with it.
func TestCatalogueHostile(t *testing.T) {
	t.Parallel()
	_, catalogue := catalogueOf(t, 2, "--head", "3.1", "-n", "4")
	runs := filepath.Join(filepath.Dir(catalogue), "runs")
	copied := func(t *testing.T, change ...string) string {
		path := filepath.Join(t.TempDir(), "catalogue.duckdb")
		data, err := os.ReadFile(catalogue)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(change) > 0 {
			schematest.Plant(t, path, change...)
		}
		return path
	}
	for _, tt := range []struct{ name, change, want string }{
		{"path out of the folder", "UPDATE catalogue_file SET path = '../../' || path WHERE table_name = 'edge'", "want such as"},
		{"absolute path", "UPDATE catalogue_file SET path = '/etc/passwd' WHERE table_name = 'edge'", "want such as"},
		{"file of another table", "UPDATE catalogue_file SET path = replace(path, 'edge/', 'score/') WHERE table_name = 'edge'", "want such as"},
		{"pattern", "UPDATE catalogue_file SET path = 'edge/*.parquet' WHERE table_name = 'edge'", "want such as"},
		{"rows of a table of its own", "UPDATE catalogue_file SET table_name = 'run', path = replace(path, 'edge/', 'run/') WHERE table_name = 'edge'", "want such as"},
		{"other size", "UPDATE catalogue_file SET n_bytes = n_bytes + 1 WHERE table_name = 'edge'", "bytes, want"},
		{"run without files", "UPDATE catalogue_file SET run_id = 7 WHERE table_name = 'edge'", "which catalogue_run does not have"},
		{"shifts", "UPDATE catalogue_run SET example_shift = [1]", "shifts"},
		{"computed column", "ALTER TABLE catalogue_file RENAME TO f; CREATE TABLE catalogue_file AS SELECT *, 1 AS x FROM f; ALTER TABLE catalogue_file DROP path", "no stored column catalogue_file.path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := copied(t, strings.Split(tt.change, "; ")...)
			code, _, stderr := run(t.Context(), "query", path, "key_components", "--data", runs)
			if code != cli.ExitFailed || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d: %s, want %q", code, stderr, tt.want)
			}
		})
	}
	t.Run("view of its own", func(t *testing.T) {
		path := copied(t, "DROP VIEW edge", "CREATE VIEW edge AS SELECT * FROM prompt")
		want, _ := succeed(t, "query", catalogue, "key_components", "--format", "csv")
		if got, _ := succeed(t, "query", path, "key_components", "--format", "csv", "--data", runs); got != want {
			t.Errorf("a view of the file changes the answer:\n%s", got)
		}
	})
	t.Run("folder that is not there", func(t *testing.T) {
		code, _, stderr := run(t.Context(), "info", copied(t))
		if code != cli.ExitFailed || !strings.Contains(stderr, "runs, is not there\nhint: name the folder of its Parquet files with --data DIR") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
	t.Run("changed file", func(t *testing.T) {
		moved := filepath.Join(t.TempDir(), "runs")
		if err := os.CopyFS(moved, os.DirFS(runs)); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(moved, "edge", "*", "*.parquet"))
		if err != nil || len(files) != 2 {
			t.Fatal(files, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(files[0], data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"verify", copied(t), "--data", moved}, {"gather", moved, "-o", filepath.Join(t.TempDir(), "c.duckdb")}} {
			if code, stdout, stderr := run(t.Context(), args...); code != cli.ExitFailed || !strings.Contains(stdout+stderr, "SHA-256") {
				t.Errorf("%s: exit code %d: %s%s", args[0], code, stdout, stderr)
			}
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", files[0]); err != nil {
			t.Skip("no links here:", err)
		}
		code, _, stderr := run(t.Context(), "query", copied(t), "key_components", "--data", moved)
		if code != cli.ExitFailed || !strings.Contains(stderr, "not a regular file") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
}

// TestSlurmScript runs the script of docs/shards.md as Slurm does, task by task.
func TestSlurmScript(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the script needs bash:", err)
	}
	dir := t.TempDir()
	model := filepath.Join(dir, "gpt2")
	if err := demo.Extract(model); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("../docs/shards/slurm.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range []string{"0", "1"} {
		cmd := exec.CommandContext(t.Context(), "bash", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SLURM_ARRAY_TASK_ID="+task, "SLURM_CPUS_PER_TASK=1", "SHARDS=2", "HEAD=3.1", "PROMPTS=4")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("task %s: %v\n%s", task, err, out)
		}
	}
	_, stderr := succeed(t, "gather", filepath.Join(dir, "runs"), "-o", filepath.Join(dir, "catalogue.duckdb"))
	if !strings.Contains(stderr, "of 2 shards: 4 prompts") {
		t.Error(stderr)
	}
}

// TestKubernetesManifest reads the manifest of docs/shards.md with a YAML reader, and runs its command.
func TestKubernetesManifest(t *testing.T) {
	t.Parallel()
	python := os.Getenv("DUCKLENS_PYTHON")
	if python == "" {
		t.Skip("DUCKLENS_PYTHON is not set: no Python to read YAML with")
	}
	const read = `import sys
try:
    import yaml
except ImportError:
    sys.exit(3)
job = yaml.safe_load(open("../docs/shards/kubernetes.yaml"))
spec, pod = job["spec"], job["spec"]["template"]["spec"]
box = pod["containers"][0]
env = {e["name"]: e["value"] for e in box["env"]}
assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
assert spec["completions"] == int(env["SHARDS"]) and pod["restartPolicy"] == "Never"
assert {m["name"] for m in box["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
assert box["command"] == ["/bin/sh", "-c"] and all(isinstance(v, str) for v in env.values())
print(box["args"][0])`
	out, err := exec.CommandContext(t.Context(), python, "-c", read).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 3 {
		t.Skip("the Python of DUCKLENS_PYTHON has no package yaml")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, model := t.TempDir(), demoModel(t)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", string(out))
	cmd.Env = append(os.Environ(), "JOB_COMPLETION_INDEX=0", "SHARDS=1", "MODEL="+model, "HEAD=3.1", "PROMPTS=2", "DATA="+filepath.Join(dir, "runs"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
