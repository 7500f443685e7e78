package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// catalogued checks the digests of the Parquet files of a catalogue.
func (v *verifier) catalogued() (err error) {
	runs, folder := v.db.Catalogued()
	if runs == nil {
		return nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, r := range runs {
		for _, f := range r.Files {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			sum, err := digest(root, filepath.FromSlash(f.Path))
			switch {
			case err != nil:
				v.problem(Damaged, r.RunID, "%v", err)
				v.blocked = true
			case sum != f.SHA256:
				v.problem(Damaged, r.RunID, "%s is not the file that was gathered: "+
					"its SHA-256 is %s, want %s", f.Path, sum, f.SHA256)
				v.blocked = true
			}
		}
	}
	return nil
}

// digest returns the SHA-256 of a file.
func digest(root *os.Root, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
