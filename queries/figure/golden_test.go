package figure_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"ducklens/queries/figure"
)

var update = flag.Bool("update", false, "write the golden figures in place of comparing with them")

// goldens are the figures that are compared, each with a size.
var goldens = []struct {
	name    string
	grid    grid
	options figure.Options
}{
	{"heatmap_screen", grid{heads: 12, stop: 10}, figure.Options{DPI: 100}},
	{"heatmap_column", grid{heads: 12, stop: 10}, figure.Options{Width: figure.ColumnWidth, DPI: 150}},
	{"heatmap_facets_frames", grid{heads: 4, stop: 3, facets: quadrants, frames: baselines[:2]}, figure.Options{Width: figure.PageWidth, DPI: 100}},
}

// TestGoldenSVG compares text with text; a change is seen in the diff of the files.
func TestGoldenSVG(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the golden SVGs were made on amd64; other machines fuse multiplication and addition, which can move a coordinate by 0.01 pt")
	}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			got := svg(t, mustNew(t, g.grid), g.options)
			want := golden(t, g.name+".svg", got)
			if bytes.Equal(got, want) {
				return
			}
			a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
			for i := range min(len(a), len(b)) {
				if !bytes.Equal(a[i], b[i]) {
					t.Fatalf("line %d: got\n%.300s\nwant\n%.300s\n(run with -update to accept)", i+1, a[i], b[i])
				}
			}
			t.Fatalf("%d lines, want %d (run with -update to accept)", len(a), len(b))
		})
	}
}

// TestGoldenPNG compares pixels. Where multiplication and addition are fused (arm64) the smoothed edge of a
// letter may differ by a step or two of 255.
func TestGoldenPNG(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := mustNew(t, g.grid).WritePNG(&b, g.options); err != nil {
				t.Fatal(err)
			}
			want := golden(t, g.name+".png", b.Bytes())
			got, err := png.Decode(&b)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := png.Decode(bytes.NewReader(want))
			if err != nil {
				t.Fatal(err)
			}
			if n, most := difference(t, got, stored); most > 3 {
				t.Errorf("%d pixels differ from testdata/%s.png, by up to %d of 255 (run with -update to accept)", n, g.name, most)
			}
		})
	}
}

// difference counts the pixels that differ and gives the largest difference of a channel.
func difference(t *testing.T, a, b image.Image) (n, most int) {
	t.Helper()
	if a.Bounds() != b.Bounds() {
		t.Fatalf("the picture is %v, want %v (run with -update to accept)", a.Bounds(), b.Bounds())
	}
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			p, q := color.NRGBAModel.Convert(a.At(x, y)).(color.NRGBA), color.NRGBAModel.Convert(b.At(x, y)).(color.NRGBA)
			if p == q {
				continue
			}
			n++
			for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B), int(p.A) - int(q.A)} {
				most = max(most, d, -d)
			}
		}
	}
	return n, most
}

// golden gives the stored file, which it writes first under -update.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// The same data give the same bytes, also when figures are drawn at the same time.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	g := grid{heads: 4, stop: 3, facets: quadrants, frames: baselines}
	draw := func() [2][]byte {
		f, err := figure.New(g.query(), g.result(), figure.Fact{Name: "run", Value: "1"})
		if err != nil {
			t.Error(err)
			return [2][]byte{}
		}
		var s, p bytes.Buffer
		if err := f.WriteSVG(&s, figure.Options{}); err != nil {
			t.Error(err)
		}
		if err := f.WritePNG(&p, figure.Options{DPI: 60}); err != nil {
			t.Error(err)
		}
		return [2][]byte{s.Bytes(), p.Bytes()}
	}
	var (
		first = draw()
		more  [4][2][]byte
		wg    sync.WaitGroup
	)
	for i := range more {
		wg.Go(func() { more[i] = draw() })
	}
	wg.Wait()
	for _, m := range more {
		if !bytes.Equal(m[0], first[0]) {
			t.Error("two SVGs of the same data differ")
		}
		if !bytes.Equal(m[1], first[1]) {
			t.Error("two PNGs of the same data differ")
		}
	}
}
