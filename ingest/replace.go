package ingest

import (
	"errors"
	"io/fs"
	"os"

	"ducklens/schema/dbfile"
)

// kept holds on to a file that is about to be replaced, under a second name, until the new one has its first
// batch: a disk that fills up in between must not cost the old file.
type kept struct{ names []string } // of the file and its write-ahead log, where there is one

// keepSuffix is what the second name ends in.
const keepSuffix = ".replaced"

// keep gives the file at path, if there is one, its second name.
func keep(path string) (*kept, error) {
	k := &kept{}
	for _, name := range []string{path, path + ".wal"} {
		err := os.Link(name, name+keepSuffix)
		switch {
		case err == nil:
			k.names = append(k.names, name)
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrExist):
			// Left by a process that was killed at this point; it may be all that is left of a run.
			return nil, errors.Join(dbfile.Wrap("keep the replaced file as", name+keepSuffix, err), k.drop())
		default:
			// No hard links on this file system: replaced without a net.
		}
	}
	return k, nil
}

// drop lets the old file go.
func (k *kept) drop() error {
	var err error
	for _, name := range k.names {
		err = errors.Join(err, dbfile.Wrap("remove", name+keepSuffix, os.Remove(name+keepSuffix)))
	}
	k.names = nil
	return err
}

// restore puts the old file back.
func (k *kept) restore() error {
	var err error
	for _, name := range k.names {
		err = errors.Join(err, dbfile.Wrap("restore", name, os.Rename(name+keepSuffix, name)))
	}
	k.names = nil
	return err
}
