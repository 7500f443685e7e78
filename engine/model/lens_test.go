package model_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// The reference's processed weights, read as the TransformerLens state dict they are and processed once more,
// give what the Hugging Face folder of the same model gives.
func TestStateDictGivesTheSameModel(t *testing.T) {
	source := refdata.M2(t)
	hub := open(t, source)
	dir := t.TempDir()
	writeStateDict(t, filepath.Join(dir, "model.npz"), refdata.Npz(t, filepath.Join(source, "golden", "processed_weights_f64.npz")))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), hub.ConfigJSON(), 0o644); err != nil {
		t.Fatal(err)
	}
	lens := modeltest.OpenPath(t, dir)

	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	_, err = model.Load[float32](lens.Checkpoint, lens.Spec, lens.Sources, schema.Raw, provider, 1)
	var advice interface{ Hint() string }
	if !errors.Is(err, model.ErrFolded) || !errors.As(err, &advice) || !strings.Contains(err.Error(), dir) {
		t.Errorf("raw weights of a processed state dict: %v, want ErrFolded with the folder and advice", err)
	}

	seqs := []model.Sequence{{Tokens: []int{1014, 7, 42, 7, 300}, Positions: []int{4, 1}}}
	head := schema.Head{Layer: 2, Index: 1}
	run := func(c modeltest.Opened) (stream, scores, logits, direction []float64) {
		m := load[float64](t, c, schema.Processed)
		cache, err := m.ForwardAll(t.Context(), seqs, []schema.Head{head})
		if err != nil {
			t.Fatal(err)
		}
		return cache.Components(0, 0).Data().([]float64), cache.Scores(head, 0, 0), m.Logits(cache.ResidPre(3, 0, 0))[0], slices.Concat(m.Unembed(7), m.Embed(7))
	}
	stream, scores, logits, direction := run(lens)
	wantStream, wantScores, wantLogits, wantDirection := run(hub)
	tolerance := refdata.Float32 // the state dict is rounded to float32 when it is read
	refdata.Compare(t, "components", stream, wantStream, tolerance)
	refdata.Compare(t, "scores", scores, wantScores, tolerance)
	refdata.Compare(t, "logits", logits, wantLogits, tolerance)
	refdata.Compare(t, "W_U and W_E rows", direction, wantDirection, tolerance)
}

// A state dict has its W_E and W_U apart, and both are looked at.
func TestStateDictRefusesWhatIsNotFinite(t *testing.T) {
	source := refdata.M2(t)
	config := open(t, source).ConfigJSON()
	provider, err := blas.ByName("auto")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"embed.W_E": `tensor "embed.W_E" element 11 is NaN`, "unembed.W_U": `tensor "unembed.W_U" element`} {
		arrays := refdata.Npz(t, filepath.Join(source, "golden", "processed_weights_f64.npz"))
		arrays[name].Float64[11] = math.NaN()
		dir := t.TempDir()
		writeStateDict(t, filepath.Join(dir, "model.npz"), arrays)
		if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
			t.Fatal(err)
		}
		c := modeltest.OpenPath(t, dir)
		if _, err := model.Load[float32](c.Checkpoint, c.Spec, c.Sources, schema.Processed, provider, 2); !errors.Is(err, checkpoint.ErrTensor) || !strings.Contains(err.Error(), want) {
			t.Errorf("NaN in %s: %v, want ErrTensor with %q", name, err, want)
		}
	}
}

// writeStateDict writes arrays as float32 into a .npz file: a zip of .npy files, each a header of fixed form,
// padded to a multiple of 64 bytes, and the numbers.
func writeStateDict(t *testing.T, path string, arrays map[string]refdata.Array) {
	t.Helper()
	var file bytes.Buffer
	archive := zip.NewWriter(&file)
	for name, a := range arrays {
		w, err := archive.Create(name + ".npy")
		if err != nil {
			t.Fatal(err)
		}
		shape := strings.NewReplacer("[", "(", "]", ")", " ", ", ").Replace(fmt.Sprint(a.Shape))
		if len(a.Shape) == 1 {
			shape = fmt.Sprintf("(%d,)", a.Shape[0])
		}
		header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape)
		header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
		data := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
		data = append(data, header...)
		for _, v := range a.Float64 {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), os.WriteFile(path, file.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}
