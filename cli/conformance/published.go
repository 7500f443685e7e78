package conformance

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Published reads the reference numbers of GPT-2 small from a folder with the files of testdata/published.
func Published(dir string) (Reference, error) {
	return read(dir,
		Reference{Column: "published", Source: "GPT-2 small: numbers published by others (" +
			filepath.ToSlash(dir) + "), and as ducklens measures them"})
}

// Expected reads earlier numbers of ducklens for SmolLM2. They keep the published names: 10.7 stands for
// 24.4, 9.9 for 23.0 and 9.6 for 23.3.
func Expected(dir string) (Reference, error) {
	return read(dir,
		Reference{Column: "expected",
			Source: "SmolLM2-135M at four bits: numbers that ducklens gave before (" + filepath.ToSlash(dir) +
				"), and now. 10.7 stands for its head 24.4, 9.9 for 23.0, 9.6 for 23.3"})
}

// read fills a reference from a folder.
func read(dir string, ref Reference) (Reference, error) {
	err := errors.Join(
		eachRow(filepath.Join(dir, "scalars.csv"), []string{"name", "value", "allowed"},
			func(row []string, number func(int) float64) {
				ref.Scalars = append(ref.Scalars,
					ScalarReference{Name: row[0], Value: number(1), Allowed: number(2)})
			}),
		eachRow(filepath.Join(dir, "histogram_summary.csv"),
			[]string{"figure", "vector", "n", "mean", "std", "median", "min", "max", "allowed"},
			func(row []string, number func(int) float64) {
				h := HistogramReference{Figure: row[0], Vector: row[1], N: int(number(2)), Allowed: number(8)}
				for i := range h.Summary {
					h.Summary[i] = number(3 + i)
				}
				ref.Histograms = append(ref.Histograms, h)
			}),
		ref.heatmaps(filepath.Join(dir, "heatmaps.csv")),
	)
	return ref, err
}

// heatmapNoise is the difference between two computations of the same published cells, which are means over
// 50 prompts in float32.
const heatmapNoise = 2e-4

// heatmaps reads panels. The rows of a panel are consecutive.
func (ref *Reference) heatmaps(path string) error {
	var last [6]string
	return eachRow(path,
		[]string{"figure", "side", "baseline", "query", "query_part", "key_part", "component", "value"},
		func(row []string, number func(int) float64) {
			if panel := [6]string(row[:6]); panel != last || len(ref.Heatmaps) == 0 {
				last = panel
				h := HeatmapReference{Name: row[0], Side: row[1], Subtracted: row[2] == "subtracted",
					QueryBasis: "none", KeyBasis: "none",
					Cells: map[string]float64{}, KeyBiasKept: row[1] == "key", Allowed: heatmapNoise}
				if row[3] == "unembedding" {
					h.QueryBasis = "sub_unembed"
				}
				if row[4] != "all" {
					h.QueryBasis, h.KeyBasis, h.Quadrant = "unembed", "mlp0", row[4]+"_"+row[5]
				}
				ref.Heatmaps = append(ref.Heatmaps, h)
			}
			ref.Heatmaps[len(ref.Heatmaps)-1].Cells[row[6]] = number(7)
		})
}

// eachRow reads a CSV file. Its header must begin with columns.
func eachRow(path string, columns []string, each func(row []string, number func(int) float64)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("conformance: reference numbers: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return fmt.Errorf("conformance: %s: %w", path, err)
	}
	for i, row := range rows {
		if i == 0 {
			for j, c := range columns {
				if j >= len(row) || row[j] != c {
					return fmt.Errorf("conformance: %s: columns %v, want %v first", path, row, columns)
				}
			}
			continue
		}
		each(row, func(column int) float64 {
			x, perr := strconv.ParseFloat(row[column], 64)
			if perr != nil && err == nil {
				err = fmt.Errorf("conformance: %s:%d: %w", path, i+1, perr)
			}
			return x
		})
	}
	return err
}
