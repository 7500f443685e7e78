package cli

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"ducklens/ingest"
)

// A progressBar shows how far a run has come while its writer is a terminal; else it does nothing.
type progressBar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	out       io.Writer
}

// newProgressBar makes a bar on out. Call stop before anything else is written there.
func newProgressBar(out io.Writer) *progressBar {
	p := &progressBar{}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = out
	}
	return p
}

// show is an [ingest.Options.Progress].
func (p *progressBar) show(at ingest.Progress) {
	if p.out == nil {
		return
	}
	if p.bar == nil {
		p.container = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(60))
		p.bar = p.container.AddBar(int64(at.Total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d prompts ")),
			mpb.AppendDecorators(decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "")))
	}
	p.bar.SetCurrent(int64(at.Examples))
}

// stop takes the bar away.
func (p *progressBar) stop() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.container.Wait()
	p.bar = nil
}
