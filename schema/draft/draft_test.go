package draft_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ducklens/schema/draft"
)

// holder is the environment variable that makes the test binary hold a draft of the file that it names, and
// wait.
const holder = "DRAFT_TEST_HOLDER"

func TestMain(m *testing.M) {
	if path := os.Getenv(holder); path != "" {
		d, err := draft.New(path)
		if err == nil {
			err = os.WriteFile(d.Path(), []byte("half"), 0o644)
		}
		fmt.Println("ready", err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// names lists the files in a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		there, log, replace bool
		want                error
	}{
		{"new", false, false, false, nil},
		{"new, may replace", false, false, true, nil},
		{"replaced", true, true, true, nil},
		{"kept", true, true, false, fs.ErrExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "a")
			if c.there {
				put(t, path, "old")
			}
			if c.log {
				put(t, path+".wal", "old log")
			}
			d, err := draft.New(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, d.Path(), "new")
			if err := d.Publish(c.replace); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err := errors.Join(d.Close(), d.Close()); err != nil {
				t.Error(err)
			}
			want, left := "new", []string{"a"}
			if c.want != nil {
				want, left = "old", []string{"a", "a.wal"}
			}
			if got := get(t, path); got != want {
				t.Errorf("it holds %q, want %q", got, want)
			}
			if got := names(t, dir); !slices.Equal(got, left) {
				t.Errorf("the folder has %q, want %q", got, left)
			}
			if err := d.Publish(true); err == nil {
				t.Error("it was published after it was closed")
			}
		})
	}
}

// TestPublishFolder checks that a folder replaces another one, which is then gone.
func TestPublishFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"first", "second"} {
		d, err := draft.New(path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(d.Path(), text), text)
		if err := errors.Join(d.Publish(true), d.Close()); err != nil {
			t.Fatal(err)
		}
		if got := names(t, path); !slices.Equal(got, []string{text}) {
			t.Errorf("it has %q, want %q", got, text)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
			t.Errorf("left %q", got)
		}
	}
}

// TestClean checks that the drafts of killed processes are removed, that files they had moved away are put
// back, and that files of living processes and of users stay.
func TestClean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), holder+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	if n, err := stdout.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "ready <nil>") {
		t.Fatalf("%q, %v", line[:n], err)
	}
	held := names(t, dir)
	if len(held) != 1 {
		t.Fatalf("the other process has made %q", held)
	}
	put(t, filepath.Join(dir, ".a.new-1", "draft"), "half")
	put(t, filepath.Join(dir, ".a.new-1", "old.wal"), "log")
	put(t, filepath.Join(dir, ".a.new-2", "draft.wal"), "half")
	put(t, filepath.Join(dir, ".b.new-3", "draft"), "of another name")
	put(t, filepath.Join(dir, ".a.new-4", "diary"), "of a user")
	put(t, filepath.Join(dir, ".a.new-5"), "no folder")
	put(t, filepath.Join(dir, ".a.new-x", "draft"), "no number")
	removed, err := draft.Clean(path)
	if want := []string{filepath.Join(dir, ".a.new-1"), filepath.Join(dir, ".a.new-2")}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %q, %v, want %q", removed, err, want)
	}
	if got := get(t, path+".wal"); got != "log" {
		t.Errorf("the log holds %q", got)
	}
	// Kill the process.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_ = stdin.Close()
	if removed, err := draft.Clean(path); err != nil || len(removed) != 1 || filepath.Base(removed[0]) != held[0] {
		t.Errorf("removed %q, %v, want %q", removed, err, held)
	}
	if removed, err := draft.CleanFolder(dir); err != nil || len(removed) != 1 {
		t.Errorf("removed %q, %v, want .b.new-3", removed, err)
	}
	want := []string{".a.new-4", ".a.new-5", ".a.new-x", "a.wal"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

// TestCleanFolderThatWasMoved checks that a folder that was being replaced is put back, on systems where
// names cannot be exchanged.
func TestCleanFolderThatWasMoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, ".a.new-1", "draft", "x"), "new")
	put(t, filepath.Join(dir, ".a.new-1", "old", "x"), "old")
	if _, err := draft.Clean(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, filepath.Join(dir, "a", "x")); got != "old" {
		t.Errorf("it holds %q", got)
	}
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a"), filepath.Join(dir, "link")
	text := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error { _, werr := io.WriteString(w, text); return errors.Join(werr, err) }
	}
	broken := errors.New("broken")
	if err := draft.WriteFile(path, text("one", broken)); !errors.Is(err, broken) || len(names(t, dir)) != 0 {
		t.Errorf("%v, and %q", err, names(t, dir))
	}
	if err := os.Symlink("a", link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if err := draft.WriteFile(link, text("two", nil)); err == nil {
		t.Error("a link that leads nowhere was written")
	}
	if err := draft.WriteFile(path, text("three", nil)); err != nil {
		t.Error(err)
	}
	if err := draft.WriteFile(link, text("four", nil)); err != nil || get(t, path) != "four" {
		t.Errorf("%v, and %q", err, get(t, path))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	// The log belongs to a database, which the file is not.
	put(t, path+".wal", "log")
	if err := draft.WriteFile(path, text("four", nil)); err != nil || get(t, path+".wal") != "log" {
		t.Errorf("%v, and the log is not as it was", err)
	}
	if err := os.Remove(path + ".wal"); err != nil {
		t.Fatal(err)
	}
	if err := draft.WriteFile(dir, text("five", nil)); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if got := names(t, dir); !slices.Equal(got, []string{"a", "link"}) {
		t.Errorf("the folder has %q", got)
	}
}

// TestWriteStream checks that a target that is not a regular file is written to, and not replaced.
func TestWriteStream(t *testing.T) {
	t.Parallel()
	const null, full = "/dev/null", "/dev/full"
	if _, err := os.Stat(null); err != nil {
		t.Skip(err)
	}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }
	if err := draft.WriteFile(null, write); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(null); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is %v, %v", null, info.Mode(), err)
	}
	if _, err := os.Stat(full); err == nil {
		if err := draft.WriteFile(full, write); err == nil {
			t.Error("a full device took it")
		}
	}
}

// TestAbandon checks that after Abandon no draft is left and none can be published.
func TestAbandon(t *testing.T) { // not parallel: it ends drafts of other tests
	dir := t.TempDir()
	d, err := draft.New(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, d.Path(), "half")
	draft.Abandon()
	if err := d.Publish(true); err == nil {
		t.Error("it was published")
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

// TestAbandonWhilePublishing checks that Abandon leaves nothing beside the target, whatever a draft of many
// files is doing, and that the target is the old folder or the new one.
func TestAbandonWhilePublishing(t *testing.T) { // not parallel: it ends drafts of other tests
	const files = 200
	dir := t.TempDir()
	target := filepath.Join(dir, "a")
	put(t, filepath.Join(target, "0"), "old")
	for i := range 8 {
		d, err := draft.New(target)
		if err != nil {
			t.Fatal(err)
		}
		for k := range files {
			put(t, filepath.Join(d.Path(), strconv.Itoa(k)), "new")
		}
		ended := make(chan error)
		go func() { ended <- errors.Join(d.Publish(true), d.Close()) }()
		time.Sleep(time.Duration(20*i) * time.Millisecond)
		draft.Abandon()
		if got := names(t, dir); !slices.Equal(got, []string{"a"}) {
			t.Errorf("abandoned after %d ms: the folder has %q", 20*i, got)
		}
		err = <-ended
		if got := len(names(t, target)); got != 1 && got != files || got == 1 && err == nil {
			t.Errorf("abandoned after %d ms: %d files, and the error %v", 20*i, got, err)
		}
	}
}

// TestPublishFailsWithLogs checks that a database that cannot get its name leaves the log of the existing
// one, and none of its own.
func TestPublishFailsWithLogs(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"", "of the old one"} {
		target := filepath.Join(t.TempDir(), "x")
		put(t, filepath.Join(target, "file"), "a folder is in the way")
		if old != "" {
			put(t, target+".wal", old)
		}
		d, err := draft.New(target)
		if err != nil {
			t.Fatal(err)
		}
		put(t, d.Path(), "database")
		put(t, d.Path()+".wal", "of the new one")
		if err := d.Publish(true); err == nil {
			t.Error("a folder was replaced by a file")
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		want := []string{"x"}
		if old != "" {
			want = append(want, "x.wal")
			if got := get(t, target+".wal"); got != old {
				t.Errorf("the log is %q, want %q", got, old)
			}
		}
		if got := names(t, filepath.Dir(target)); !slices.Equal(got, want) {
			t.Errorf("the folder has %q, want %q", got, want)
		}
	}
}

// TestPublishSeesOthers checks that files that another program has created or changed since New stay.
func TestPublishSeesOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		there  bool
		change func(t *testing.T, path string)
		want   error
		holds  string
	}{
		{"nothing", true, func(*testing.T, string) {}, nil, "new"},
		{"made", false, func(t *testing.T, path string) { put(t, path, "another's") }, draft.ErrChanged, "another's"},
		{"written", true, func(t *testing.T, path string) { put(t, path, "another's") }, draft.ErrChanged, "another's"},
		{"renamed", true, func(t *testing.T, path string) {
			put(t, path+"2", "old")
			if err := os.Rename(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, draft.ErrChanged, "old"},
		{"removed", true, func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, nil, "new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "a")
			if c.there {
				put(t, path, "old")
			}
			d, err := draft.New(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, d.Path(), "new")
			c.change(t, path)
			if err := errors.Join(d.Publish(true), d.Close()); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got := get(t, path); got != c.holds {
				t.Errorf("it holds %q, want %q", got, c.holds)
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"a"}) {
				t.Errorf("the folder has %q", got)
			}
		})
	}
}

// TestPublishFolderSeesOthers checks that a folder to which somebody has added a file is not replaced.
func TestPublishFolderSeesOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	put(t, filepath.Join(path, "old"), "old")
	d, err := draft.New(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(d.Path(), "new"), "new")
	put(t, filepath.Join(path, "diary"), "another's")
	if err := errors.Join(d.Publish(true), d.Close()); !errors.Is(err, draft.ErrChanged) {
		t.Errorf("%v, want %v", err, draft.ErrChanged)
	}
	if got := names(t, path); !slices.Equal(got, []string{"diary", "old"}) {
		t.Errorf("it has %q", got)
	}
}

// TestLongNames checks that the target may have any name that the file system allows, and that drafts of it
// by killed processes are removed.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{200, 201, 242, 255} {
		dir := t.TempDir()
		path := filepath.Join(dir, strings.Repeat("é", (n-1)/2)+"x"+strings.Repeat("y", (n-1)%2))
		for _, text := range []string{"first", "second"} {
			if err := draft.WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		d, err := draft.New(path)
		if err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(dir, strings.TrimSuffix(names(t, dir)[0], "1")+"1")
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		put(t, filepath.Join(left, "draft"), "half")
		if removed, err := draft.Clean(path); err != nil || !slices.Equal(removed, []string{left}) {
			t.Errorf("%d bytes: removed %q, %v, want %q", n, removed, err, left)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("%d bytes: left %q", n, got)
		}
	}
}

// TestPublishSparesLogs checks that without replace a log without a database stays, because it may be all
// that is left of one.
func TestPublishSparesLogs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	put(t, path+".wal", "another's")
	d, err := draft.New(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d.Path(), "new")
	if err := errors.Join(d.Publish(false), d.Close()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want %v", err, fs.ErrExist)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"a.wal"}) {
		t.Errorf("the folder has %q", got)
	}
}
