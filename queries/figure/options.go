package figure

import (
	"fmt"
	"io"
	"math"

	"gonum.org/v1/plot/vg"

	"ducklens/queries"
	"ducklens/queries/figure/internal/canvas"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// Widths of a figure in print, in inches: one column of a two-column page, and the whole page.
const (
	ColumnWidth = 3.25
	PageWidth   = 6.75
)

// Options say how large a figure is drawn and in what colours. The zero value suits a wide page or a screen.
type Options struct {
	// Width in inches, from 1 to 60; 0 is as wide as the panels need. The height follows.
	// Panels wrap so that what is in them stays readable.
	Width float64
	// DPI is the resolution of a PNG in dots per inch, from 36 to 2400; 0 is 200. Use 300 for print.
	DPI int
	// Theme is the look; Paper unless given.
	Theme Theme
}

// defaultDPI makes a 14 x 12 heatmap about 1000 pixels wide.
const defaultDPI = 200

// maxPixels bounds the memory of a PNG, 4 bytes a pixel: a page of 11 x 17 inches at 600 dpi fits twice.
const maxPixels = 150_000_000

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	if o.Width != 0 && !(o.Width >= 1 && o.Width <= 60) { // not for NaN either
		return fmt.Errorf("figure: %w: width %g in, want 1 to 60, or 0 for what the panels need", ErrOptions, o.Width)
	}
	if o.DPI != 0 && (o.DPI < 36 || o.DPI > 2400) {
		return fmt.Errorf("figure: %w: %d dpi, want 36 to 2400, or 0 for %d", ErrOptions, o.DPI, defaultDPI)
	}
	if int(o.Theme) >= len(themes) {
		return fmt.Errorf("figure: %w: %v, want one of %v", ErrOptions, o.Theme, themes)
	}
	return nil
}

// WriteSVG draws the figure as an SVG document. Text stays text; the font's glyphs are in the file.
func (f *Figure) WriteSVG(w io.Writer, o Options) error {
	return f.write(w, o, "SVG", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		return canvas.NewSVG(size, f.meta()), nil
	})
}

// WritePNG draws the figure as a PNG picture.
func (f *Figure) WritePNG(w io.Writer, o Options) error {
	return f.write(w, o, "PNG", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		dpi := o.DPI
		if dpi == 0 {
			dpi = defaultDPI
		}
		width, height := size.Page()
		if pixels := math.Ceil(width.Dots(float64(dpi))) * math.Ceil(height.Dots(float64(dpi))); pixels > maxPixels {
			return nil, fmt.Errorf("%w: %.0f million pixels (%.1f x %.1f in at %d dpi), want at most %d million",
				ErrOptions, pixels/1e6, width/vg.Inch, height/vg.Inch, dpi, maxPixels/1_000_000)
		}
		return canvas.NewPNG(size, dpi, f.meta()), nil
	})
}

// WritePDF draws the figure as a PDF document of one page. Text stays text; the fonts' glyphs are in the file.
func (f *Figure) WritePDF(w io.Writer, o Options) error {
	return f.write(w, o, "PDF", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		return canvas.NewPDF(size, f.meta()), nil
	})
}

// write arranges the figure once the options are known to be good, and draws it on a canvas of the size that it needs.
func (f *Figure) write(w io.Writer, o Options, format string, blank func(canvas.Size) (vg.CanvasWriterTo, error)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if len(f.Frames) == 0 || len(f.Frames[0].Panels) == 0 {
		return &Error{Query: f.Name, Err: ErrEmpty, Detail: "the figure has no panels"}
	}
	p, err := f.page(o.Theme.colors())
	if err != nil {
		return err
	}
	zoom := o.Theme.zoom()
	l := p.Arrange(vg.Length(o.Width/zoom) * vg.Inch)
	size := canvas.Size{Zoom: zoom}
	size.W, size.H = l.Size()
	c, err := blank(size)
	if err != nil {
		return fmt.Errorf("figure of %s: %w", f.Name, err)
	}
	l.Draw(c)
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("figure of %s: writing %s: %w", f.Name, format, err)
	}
	return nil
}

// page describes the figure to the package that arranges it.
func (f *Figure) page(colors *palette.Palette) (*page.Page, error) {
	first := &f.Frames[0].Panels[0]
	p := &page.Page{
		Title: f.Title, Subtitle: f.Subtitle, Columns: f.Columns, Source: f.provenance(), Colors: colors,
		XTitle: first.X.Title, YTitle: first.Y.Title,
	}
	for _, frame := range f.Frames {
		p.Frames = append(p.Frames, frame.Name)
	}
	for _, panel := range f.Frames[0].Panels {
		p.Panels = append(p.Panels, panel.Name)
	}
	switch f.Mark {
	case queries.Heatmap:
		p.Plot, p.Aside = newHeatmapPlot(f, colors), page.ColorBar{Title: f.Scale.Title, Limit: f.Scale.Limit}
	case queries.Histogram:
		m := newHistogramPlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
	case queries.Line:
		m := newLinePlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
	case queries.Bar:
		m := newBarPlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
		p.XTitle, p.YTitle = first.Y.Title, first.X.Title // bars lie
	case queries.Matrix:
		p.Plot, p.Aside = newMatrixPlot(f, colors), page.ColorBar{Title: f.Scale.Title, Limit: f.Scale.Limit}
	default:
		return nil, &Error{Query: f.Name, Err: ErrMark, Detail: fmt.Sprintf("chart %s is not drawn", f.Mark)}
	}
	if f.serial() {
		p.Panels, p.Frames = p.Frames, []string{""}
		p.Plot = serialPlot{p.Plot}
	}
	return p, nil
}

// serial tells whether the frames are drawn as if they were panels, side by side where they have room: heatmaps and matrices of one
// panel, which would be a long strip below each other.
func (f *Figure) serial() bool {
	cells := f.Mark == queries.Heatmap || f.Mark == queries.Matrix
	return cells && len(f.Frames) > 1 && len(f.Frames[0].Panels) == 1 && f.Frames[0].Panels[0].Name == ""
}

// serialPlot draws frames as panels.
type serialPlot struct{ page.Plot }

// Draw implements page.Plot.
func (s serialPlot) Draw(p page.Pen, _, panel int, x, y vg.Length) { s.Plot.Draw(p, panel, 0, x, y) }

// meta is what the file says about the figure.
func (f *Figure) meta() canvas.Meta {
	m := canvas.Meta{Title: f.Title, Description: f.Subtitle}
	for _, fact := range f.Facts {
		m.Facts = append(m.Facts, [2]string{fact.Name, fact.Value})
	}
	return m
}
