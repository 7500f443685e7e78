package figure

import (
	"fmt"
	"io"
	"math"
	"strings"

	"gonum.org/v1/plot/vg"

	"ducklens/queries"
	"ducklens/queries/figure/internal/canvas"
	"ducklens/queries/figure/internal/page"
	"ducklens/queries/figure/internal/palette"
)

// WriteSVG draws the figure as an SVG document. Text stays text; the font's glyphs are in the file.
func (f *Figure) WriteSVG(w io.Writer, o Options) error {
	return f.write(w, o, "SVG", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		return canvas.NewSVG(size, f.meta()), nil
	})
}

// WritePNG draws the figure as a PNG image.
func (f *Figure) WritePNG(w io.Writer, o Options) error {
	return f.write(w, o, "PNG", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		dpi := o.DPI
		if dpi == 0 {
			dpi = defaultDPI
		}
		width, height := size.Page()
		if pixels := math.Ceil(width.Dots(float64(dpi))) * math.Ceil(height.Dots(float64(dpi))); pixels > maxPixels {
			return nil, optionsError("%.0f million pixels (%.1f x %.1f in at %d dpi), want at most %d million",
				pixels/1e6, width/vg.Inch, height/vg.Inch, dpi, maxPixels/1_000_000)
		}
		return canvas.NewPNG(size, dpi, f.meta()), nil
	})
}

// WritePDF draws the figure as a PDF document with one page. Text stays text; the fonts' glyphs are in the
// file.
func (f *Figure) WritePDF(w io.Writer, o Options) error {
	return f.write(w, o, "PDF", func(size canvas.Size) (vg.CanvasWriterTo, error) {
		return canvas.NewPDF(size, f.meta()), nil
	})
}

// write arranges the figure once the options have been checked, and draws it on a canvas of the size that it
// needs.
func (f *Figure) write(
	w io.Writer, o Options, format string, blank func(canvas.Size) (vg.CanvasWriterTo, error),
) error {
	l, size, err := f.arrange(o)
	if err != nil {
		return err
	}
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

// arrange lays out the page and determines its size.
func (f *Figure) arrange(o Options) (*page.Layout, canvas.Size, error) {
	size := canvas.Size{Zoom: o.Theme.zoom()}
	if err := o.Validate(); err != nil {
		return nil, size, err
	}
	if len(f.Frames) == 0 || len(f.Frames[0].Panels) == 0 {
		return nil, size, &Error{Query: f.Name, Err: ErrEmpty, Detail: "the figure has no panels"}
	}
	p, err := f.page(o.Theme.colors())
	if err != nil {
		return nil, size, err
	}
	p.Height = vg.Length(o.Height/size.Zoom) * vg.Inch
	l := p.Arrange(vg.Length(o.Width/size.Zoom) * vg.Inch)
	size.W, size.H = l.Size()
	return l, size, nil
}

// Height returns how high the figure is drawn, in inches. The content of panels has a minimum and a maximum
// height.
func (f *Figure) Height(o Options) (float64, error) {
	_, size, err := f.arrange(o)
	_, height := size.Page()
	return float64(height / vg.Inch), err
}

// page describes the figure to the package that arranges it.
func (f *Figure) page(colors *palette.Palette) (*page.Page, error) {
	first := &f.Frames[0].Panels[0]
	p := &page.Page{
		Title: f.Title, Lead: f.Lead(), Columns: f.Columns, Source: f.provenance(), Colors: colors, Bare: f.Bare,
		XTitle: first.X.Title, YTitle: first.Y.Title, Keys: f.keys(colors),
	}
	p.Frames, p.Panels = f.FrameNames(), f.PanelNames(0)
	p.PanelName = func(frame, panel int) string { return f.PanelNames(frame)[panel] }
	switch f.Mark {
	case queries.Heatmap:
		p.Plot, p.Aside = newHeatmapPlot(f, colors), f.colorBar()
	case queries.Histogram:
		m := newHistogramPlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
	case queries.Line:
		m := newLinePlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
	case queries.Bar:
		m := newBarPlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
		p.XTitle, p.YTitle = first.Y.Title, first.X.Title // bars are horizontal
	case queries.Matrix:
		p.Plot, p.Aside = newMatrixPlot(f, colors), f.colorBar()
	case queries.Scatter:
		m := newScatterPlot(f, colors)
		p.Plot, p.Aside = m, m.legend()
	default:
		return nil, &Error{Query: f.Name, Err: ErrMark, Detail: fmt.Sprintf("chart %s is not drawn", f.Mark)}
	}
	if f.serial() {
		names := p.Frames
		p.Panels, p.Frames = names, []string{""}
		p.PanelName = func(_, panel int) string { return names[panel] }
		p.Plot = serialPlot{p.Plot}
	}
	return p, nil
}

// colorBar explains the colours of cells.
func (f *Figure) colorBar() page.ColorBar {
	return page.ColorBar{Title: f.Scale.Title, Limit: f.Scale.Limit, Relative: !f.Scale.Shared(),
		Beyond: f.Scale.Beyond > 0}
}

// keys explain what the colour bar does not.
func (f *Figure) keys(colors *palette.Palette) []page.Key {
	var keys []page.Key
	if text := f.apartKey(); text != "" {
		swatch := func(p page.Pen, x, y, w, h vg.Length) { drawApart(p, colors, x, y, w, h) }
		keys = append(keys, page.Key{Text: text, Swatch: swatch})
	}
	for _, text := range f.scaleKeys() {
		keys = append(keys, page.Key{Text: text})
	}
	return keys
}

// serial reports whether the frames are drawn like panels, side by side if there is room. Heatmaps and
// matrices of one panel are, because they would be a long strip one below the other.
func (f *Figure) serial() bool {
	cells := f.Mark == queries.Heatmap || f.Mark == queries.Matrix
	return cells && len(f.Frames) > 1 && len(f.Frames[0].Panels) == 1 && f.Frames[0].Panels[0].Name == ""
}

// serialPlot draws frames as panels.
type serialPlot struct{ page.Plot }

// Draw implements page.Plot.
func (s serialPlot) Draw(p page.Pen, _, panel int, x, y vg.Length) { s.Plot.Draw(p, panel, 0, x, y) }

// meta returns what the file says about the figure.
func (f *Figure) meta() canvas.Meta {
	m := canvas.Meta{Title: f.Title, Description: strings.Join(f.Lead(), " · ")}
	for _, fact := range f.Facts {
		m.Facts = append(m.Facts, [2]string{fact.Name, fact.Value})
	}
	return m
}
