// Package draft writes a file or a folder so that it appears whole under its name, or not at all.
//
// A [Draft] is written next to its target, in a hidden folder .NAME.new-NUMBER. When it is complete it is
// synced and renamed. If the process is killed, the old file or the new one remains, and perhaps that folder.
// A lock on the folder says that its process is alive; [Clean] removes folders of this name that are not
// locked.
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
	"time"
)

// Names within the hidden folder.
const (
	bodyName = "draft" // what is being written
	// The folder that is being replaced, if names cannot be exchanged, or with the suffix of a log, that of a
	// file.
	oldName   = "old"
	spillName = "spill" // temporary files of the writer
)

// Logs returns the suffixes of the write-ahead logs that DuckDB keeps beside a database. The last two exist
// during a checkpoint, and after a process was killed during one.
func Logs() []string { return []string{".wal", ".wal.checkpoint", ".wal.recovery"} }

// A Draft is a file or a folder that is being written.
type Draft struct {
	target string // absolute, and not a link
	dir    string
	lock   *os.File
	plain  bool        // no database: a log beside the target is another's
	found  fs.FileInfo // what had the name when the draft began, or nil

	mu   sync.Mutex // held while the draft is moved or removed
	done bool
}

// alive holds the drafts of this process, for [Abandon].
var alive = struct {
	sync.Mutex
	list []*Draft
}{}

// New begins a draft of the file or folder at path, in a folder that must exist. A link is followed: Publish
// replaces what it points to. Drafts of the same target that killed processes left behind are removed.
func New(path string) (*Draft, error) {
	target, err := Resolve(path)
	if err != nil {
		return nil, err
	}
	_, _ = Clean(target) // drafts that cannot be removed do no harm
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

// open makes the hidden folder and locks it. Until it is locked, another process may take it for left over
// and remove it.
func (d *Draft) open() error {
	folder, name := filepath.Split(d.target)
	for try := 0; ; try++ {
		d.dir = filepath.Join(folder, "."+stem(name)+infix+strconv.FormatUint(uint64(rand.Uint32()), 10))
		err := os.Mkdir(d.dir, 0o777)
		if errors.Is(err, fs.ErrExist) && try < 100 {
			continue
		}
		if err != nil { // users know the folder, and not the name in it
			return &fs.PathError{Op: "write to", Path: filepath.Clean(folder), Err: errors.Unwrap(err)}
		}
		d.lock, err = lockFolder(d.dir)
		switch {
		case err == nil, errors.Is(err, errors.ErrUnsupported): // without locks, no process removes it
			return nil
		case errors.Is(err, errHeld), errors.Is(err, fs.ErrNotExist):
			if try < 100 {
				continue
			}
		}
		return errors.Join(err, os.Remove(d.dir))
	}
}

// Path returns the path to write to. Nothing exists there yet.
func (d *Draft) Path() string { return filepath.Join(d.dir, bodyName) }

// Spill returns a path for a folder of temporary files, which is removed with the draft.
func (d *Draft) Spill() string { return filepath.Join(d.dir, spillName) }

// Target returns the path at which the draft will appear.
func (d *Draft) Target() string { return d.target }

// Rename changes the target to another name in the same folder, which must not exist.
func (d *Draft) Rename(target string) { d.target, d.found = target, nil }

// ErrChanged: what would be replaced is not what was there when the draft began. Nobody has agreed to lose
// it.
var ErrChanged = errors.New("it was created or changed after this began, and is left alone")

// look returns what has a name, or nil.
func look(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return info, err
}

// Same reports whether two looks at a name found the same file, unchanged. Two looks that found nothing are
// the same.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// errGone: the draft has already been published or removed.
var errGone = errors.New("the draft is gone")

// Publish syncs the draft and moves it to its target. Without replace, an existing file or folder stays, and
// the error is [fs.ErrExist]. With replace, the new file gets the permissions of the old one and, if the
// system allows it, its owner; but if something was created there or changed since [New], it stays, and the
// error is [ErrChanged]. Write-ahead logs follow their files: the old file's is removed, and the draft's is
// renamed with it. Close must still be called.
func (d *Draft) Publish(replace bool) error {
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
	if err := d.move(info, there); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(d.target))
}

// move moves the draft, which info describes, to its target, if nothing has happened to either.
func (d *Draft) move(info fs.FileInfo, there bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return errGone
	}
	if now, err := look(d.target); err != nil {
		return err
	} else if now != nil && !Same(now, d.found) {
		return ErrChanged
	}
	body := d.Path()
	switch {
	case !info.IsDir():
		return d.place(body, there)
	case there:
		return d.exchange(body)
	default:
		return renameNew(body, d.target)
	}
}

// Spread syncs the draft of a folder and moves files of it, one after the other, to the same names in the
// target, which may be a folder with other files. Files with these names are replaced. Close must still be
// called.
func (d *Draft) Spread(names []string) error {
	body := d.Path()
	if err := syncAll(body); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return errGone
	}
	folders := map[string]bool{}
	for _, name := range names {
		from, to := filepath.Join(body, filepath.FromSlash(name)),
			filepath.Join(d.target, filepath.FromSlash(name))
		folder := filepath.Dir(to)
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return err
		}
		for ; !folders[folder] && len(folder) >= len(d.target); folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	for folder := range folders {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

// place moves the file to its target. The old file's log must not be taken for the new file's. If the process
// is killed before the file has its name, [Clean] puts the log back.
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

// moveLogs moves the logs of one database to another.
func moveLogs(from, to string) error {
	for _, ending := range Logs() {
		if err := os.Rename(from+ending, to+ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// exchange replaces a folder by the draft, atomically if the system can.
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
	err := d.remove()
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	alive.Lock() // only now, so that Abandon waits for what is being removed
	defer alive.Unlock()
	alive.list = slices.DeleteFunc(alive.list, func(o *Draft) bool { return o == d })
	return err
}

// remove removes the hidden folder. It renames it to another hidden name first, so that whoever is still
// writing, as DuckDB's threads do when a process is being ended, finds no folder under the old name to create
// files in.
func (d *Draft) remove() error {
	aside := d.dir + "0"
	if os.Rename(d.dir, aside) != nil {
		aside = d.dir
	}
	return os.RemoveAll(aside)
}

// Abandon removes all drafts of this process, and prevents any from being published later. It is for a
// process that is about to end before its commands have returned. A draft that is being moved or removed at
// this moment is waited for, but no longer than a second, because a disk may not answer.
func Abandon() {
	alive.Lock()
	list := slices.Clone(alive.list)
	alive.Unlock()
	for end := time.Now().Add(time.Second); len(list) > 0; time.Sleep(time.Millisecond) {
		list = slices.DeleteFunc(list, func(d *Draft) bool {
			if !d.mu.TryLock() {
				return time.Now().After(end)
			}
			defer d.mu.Unlock()
			_ = d.close() // Clean removes what stays
			return true
		})
	}
}

// WriteFile writes a file that is not a database as a draft. An existing file is replaced, and a log beside
// it stays. Anything that is not a file, such as /dev/stdout or a pipe, is written to directly.
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

// isStream reports whether path is a device, a pipe or a socket, or one of the names under which a process
// has its own open files.
func isStream(path string) bool {
	for _, own := range []string{"/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/"} {
		if strings.HasPrefix(path, own) {
			return true
		}
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// Resolve returns the absolute path of what is replaced when path is written: the target of a link, if path
// is one.
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

// infix is between the name of the target and the number of a draft.
const infix = ".new-"

// maxStem leaves room for the rest of a draft's name in the 255 bytes that most file systems allow.
const maxStem = 200

// stem returns a name, or a replacement for it if the name of a draft would be too long.
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

// Clean removes the drafts of the file or folder at path that killed processes left behind, and puts back
// what such a process had moved away. It returns the names of what it removed.
func Clean(path string) (removed []string, err error) {
	folder, name := filepath.Split(path)
	return clean(folder, func(of string) (string, bool) { return name, of == stem(name) })
}

// CleanFolder removes the drafts of everything in a folder, as [Clean] does.
func CleanFolder(folder string) (removed []string, err error) {
	return clean(folder, func(of string) (string, bool) { return of, !shortened.MatchString(of) })
}

// clean removes the drafts of the names that wanted returns for their stems.
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

// cleanOne removes the hidden folder dir of a draft of target, if it is not locked and contains nothing of a
// user's.
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
	if _, err := os.Lstat(filepath.Join(dir, bodyName)); err == nil { // it did not get its name
		for _, ending := range append(Logs(), "") {
			err := renameNew(filepath.Join(dir, oldName+ending), target+ending)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
				return false, err
			}
		}
	}
	return true, os.RemoveAll(dir)
}

// isDraft reports whether dir is a folder that contains only what a draft has.
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

// syncAll waits until a file, or a folder with everything in it, is on disk.
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
