// Package draft writes a file or a folder so that it appears whole under its name, or not at all.
//
// A [Draft] is made beside its target, in a hidden folder .NAME.new-NUMBER. When it is whole it is synced and renamed.
// A process that is killed leaves the old file or the new one, and perhaps that folder. A lock on the folder says that
// its process lives; [Clean] removes the folders of this name that nobody holds.
package draft

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Names within the hidden folder.
const (
	bodyName  = "draft" // what is being written
	oldName   = "old"   // the folder that is being replaced, where two names cannot be exchanged, or with the ending of a log that of a file
	spillName = "spill" // temporary files of the one who writes
)

// Logs are the endings of the write-ahead logs that DuckDB keeps beside a database. The last two are there during a checkpoint, and
// after a kill then.
func Logs() []string { return []string{".wal", ".wal.checkpoint", ".wal.recovery"} }

// A Draft is a file or a folder that is being written.
type Draft struct {
	target string // absolute; no link
	dir    string
	lock   *os.File
	plain  bool        // no database: a log beside the target is another's
	found  fs.FileInfo // what had the name when the draft began, or nil

	mu   sync.Mutex
	done bool
}

// alive lists the drafts of this process, for [Abandon].
var alive = struct {
	sync.Mutex
	list []*Draft
}{}

// New begins a draft of the file or folder at path, whose folder must be there. A link is followed: what it leads to
// is what Publish replaces. Drafts of the same target that killed processes have left are removed.
func New(path string) (*Draft, error) {
	target, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	_, _ = Clean(target) // what cannot be removed is in nobody's way
	d := &Draft{target: target}
	if d.found, err = look(target); err != nil {
		return nil, err
	}
	if err := d.open(); err != nil {
		return nil, err
	}
	alive.Lock()
	defer alive.Unlock()
	alive.list = append(alive.list, d)
	return d, nil
}

// open makes the hidden folder and locks it. Before it is locked another process may take it for left over and remove it.
func (d *Draft) open() error {
	folder, name := filepath.Split(d.target)
	for try := 0; ; try++ {
		d.dir = filepath.Join(folder, "."+stem(name)+infix+strconv.FormatUint(uint64(rand.Uint32()), 10))
		err := os.Mkdir(d.dir, 0o777)
		if errors.Is(err, fs.ErrExist) && try < 100 {
			continue
		}
		if err != nil {
			return err
		}
		d.lock, err = lockFolder(d.dir)
		switch {
		case err == nil, errors.Is(err, errors.ErrUnsupported): // without a lock, nobody removes it
			return nil
		case errors.Is(err, errHeld), errors.Is(err, fs.ErrNotExist):
			if try < 100 {
				continue
			}
		}
		return errors.Join(err, os.Remove(d.dir))
	}
}

// Path is where to write. Nothing is there yet.
func (d *Draft) Path() string { return filepath.Join(d.dir, bodyName) }

// Spill is a name for a folder of temporary files, which go with the draft.
func (d *Draft) Spill() string { return filepath.Join(d.dir, spillName) }

// Target is where the draft goes.
func (d *Draft) Target() string { return d.target }

// Rename aims the draft at another name in the same folder, which must be free.
func (d *Draft) Rename(target string) { d.target, d.found = target, nil }

// ErrChanged: what would be replaced is not what was there when the draft began. Nobody has agreed to lose it.
var ErrChanged = errors.New("what is there now was not there, or not as it is, when this began; it is left alone")

// look gives what has a name, or nil.
func look(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// Same tells whether two looks at a name have met the same file, unchanged. Nothing there is like nothing.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// errGone: the draft was published or removed before.
var errGone = errors.New("the draft is gone")

// Publish syncs the draft and gives it its name. Without replace, a file or folder that has the name stays, and the
// error is [fs.ErrExist]; with replace, the new file has the permissions of the old one and, where the
// system lets it, its owner, and what came there or was
// changed since [New] stays: [ErrChanged]. Write-ahead logs go with their files: that of the old file is removed, and
// one beside the draft gets its name too. Close must be called all the same.
func (d *Draft) Publish(replace bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return errGone
	}
	body := d.Path()
	info, err := os.Stat(body)
	if err != nil {
		return err
	}
	old, err := look(d.target)
	if err != nil {
		return err
	}
	there := old != nil
	if there && !replace {
		return fs.ErrExist
	}
	if !replace && !d.plain && !info.IsDir() {
		for _, ending := range Logs() {
			if log, err := look(d.target + ending); log != nil || err != nil {
				return cmp.Or(err, error(fs.ErrExist))
			}
		}
	}
	if there && old.Mode().IsRegular() && info.Mode().IsRegular() {
		if err := d.likeOld(old); err != nil {
			return err
		}
	}
	if err := syncAll(body); err != nil {
		return err
	}
	if now, err := look(d.target); err != nil {
		return err
	} else if now != nil && !Same(now, d.found) {
		return ErrChanged
	}
	switch {
	case !info.IsDir():
		err = d.place(body, there)
	case there:
		err = d.exchange(body)
	default:
		err = renameNew(body, d.target)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(d.target))
}

// place gives the file its name. The old one's log must not be taken for the new one's; should the process be killed
// before the file has its name, [Clean] puts the log back.
func (d *Draft) place(body string, replace bool) (err error) {
	old := filepath.Join(d.dir, oldName)
	if !d.plain {
		if err := moveLogs(d.target, old); err != nil {
			return errors.Join(err, moveLogs(old, d.target))
		}
		if err = moveLogs(body, d.target); err != nil {
			return errors.Join(err, moveLogs(d.target, body), moveLogs(old, d.target))
		}
	}
	if replace {
		err = os.Rename(body, d.target)
	} else {
		err = renameNew(body, d.target)
	}
	if err != nil && !d.plain {
		err = errors.Join(err, moveLogs(d.target, body), moveLogs(old, d.target))
	}
	return err
}

// moveLogs gives the logs of one database to another.
func moveLogs(from, to string) error {
	for _, ending := range Logs() {
		if err := os.Rename(from+ending, to+ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// exchange puts the folder in place of another, at once where the system can.
func (d *Draft) exchange(body string) error {
	if err := exchangeNames(body, d.target); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	kept := filepath.Join(d.dir, oldName)
	if err := os.Rename(d.target, kept); err != nil {
		return err
	}
	err := os.Rename(body, d.target)
	if err != nil {
		err = errors.Join(err, os.Rename(kept, d.target))
	}
	return err
}

// Close removes what is left of the draft. Closing twice does nothing.
func (d *Draft) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.close()
}

func (d *Draft) close() error {
	if d.done {
		return nil
	}
	d.done = true
	alive.Lock()
	alive.list = slices.DeleteFunc(alive.list, func(o *Draft) bool { return o == d })
	alive.Unlock()
	err := d.remove()
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// remove removes the hidden folder. It gets another hidden name first: somebody who still writes, as DuckDB's threads do when a
// process is ended, finds no folder under the old one to make files in.
func (d *Draft) remove() error {
	aside := d.dir + "0"
	if os.Rename(d.dir, aside) != nil {
		aside = d.dir
	}
	return os.RemoveAll(aside)
}

// Abandon removes all drafts of this process but those that are being published, and lets none be published any more. It is
// for a process that is about to end before its commands have returned, and does not wait for a disk.
func Abandon() {
	alive.Lock()
	list := slices.Clone(alive.list)
	alive.Unlock()
	for _, d := range list {
		if d.mu.TryLock() {
			_ = d.close() // Clean removes what stays
			d.mu.Unlock()
		}
	}
}

// WriteFile writes a file that is no database by a draft; an existing one is replaced, and a log beside it stays. What is
// no file, such as /dev/stdout or a pipe, is written to as it is.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	if isStream(path) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	d, err := New(path)
	if err != nil {
		return err
	}
	d.plain = true
	defer func() { err = errors.Join(err, d.Close()) }()
	f, err := os.OpenFile(d.Path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return d.Publish(true)
}

// isStream tells whether path is a device, a pipe or a socket, or one of the names under which a process has its own open files.
func isStream(path string) bool {
	for _, own := range []string{"/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/"} {
		if strings.HasPrefix(path, own) {
			return true
		}
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// Resolve gives the absolute path of what is replaced when path is written: what it leads to, where it is a link.
func Resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(abs)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return abs, nil
	}
	target, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("it is a link that leads nowhere: %w", fs.ErrInvalid)
	}
	return target, err
}

// infix stands between the name of the target and the number of a draft.
const infix = ".new-"

// maxStem leaves room for the rest of a draft's name in the 255 bytes that most file systems have for one.
const maxStem = 200

// stem is a name, or what stands for it in the name of a draft where that would be too long.
func stem(name string) string {
	if len(name) <= maxStem {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := strings.ToValidUTF8(name[:maxStem-2*len(sum)-1], "")
	return short + "~" + hex.EncodeToString(sum[:])
}

var shortened = regexp.MustCompile(`~[0-9a-f]{64}$`)

var hidden = regexp.MustCompile(`^\.(.+)\.new-[0-9]+$`)

// Clean removes the drafts of the file or folder at path that killed processes have left, and puts back what such a
// process has moved away. It gives the names of what it has removed.
func Clean(path string) (removed []string, err error) {
	folder, name := filepath.Split(path)
	return clean(folder, func(of string) (string, bool) { return name, of == stem(name) })
}

// CleanFolder removes the drafts of everything in a folder, as [Clean] does.
func CleanFolder(folder string) (removed []string, err error) {
	return clean(folder, func(of string) (string, bool) { return of, !shortened.MatchString(of) })
}

// clean removes drafts of the names that wanted gives for their stems.
func clean(folder string, wanted func(stem string) (name string, ok bool)) (removed []string, err error) {
	if folder == "" {
		folder = "."
	}
	f, err := os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		match := hidden.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		of, ok := wanted(match[1])
		if !ok {
			continue
		}
		gone, err := cleanOne(filepath.Join(folder, name), filepath.Join(folder, of))
		if err != nil {
			return removed, err
		}
		if gone {
			removed = append(removed, filepath.Join(folder, name))
		}
	}
	return removed, nil
}

// cleanOne removes the hidden folder dir of a draft of target, if nobody holds it and nothing in it is a user's.
func cleanOne(dir, target string) (gone bool, err error) {
	if !isDraft(dir) {
		return false, nil
	}
	lock, err := lockFolder(dir)
	if errors.Is(err, errHeld) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := os.Lstat(filepath.Join(dir, bodyName)); err == nil { // it has not got its name
		for _, ending := range append(Logs(), "") {
			err := renameNew(filepath.Join(dir, oldName+ending), target+ending)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
				return false, err
			}
		}
	}
	return true, os.RemoveAll(dir)
}

// isDraft tells whether dir is a folder with nothing in it but what a draft has.
func isDraft(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		name := e.Name()
		for _, ending := range append(Logs(), ".tmp") {
			name = strings.TrimSuffix(name, ending)
		}
		if name != bodyName && name != oldName && name != spillName {
			return false
		}
	}
	return true
}

// syncAll waits until a file, or a folder with all that is in it, is on disk.
func syncAll(path string) error {
	return filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return syncFolder(path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
