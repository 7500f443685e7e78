package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"ducklens/ingest"
)

// A progressBar shows the progress of a run: a bar on a terminal, otherwise a line every few seconds.
type progressBar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	out       io.Writer
	terminal  bool
	between   time.Duration
	now       func() time.Time
	began     time.Time
	first     int       // prompts that a resumed run already had
	said      time.Time // time of the last line
}

// betweenLines is the time between lines. A short run prints none.
const betweenLines = 10 * time.Second

// progressLines is the environment variable that asks for a line soon after each batch, for programs that
// show the latest line.
const progressLines = "DUCKLENS_PROGRESS"

// newProgressBar returns a bar on out. Call stop before writing anything else there.
func newProgressBar(out io.Writer) *progressBar {
	f, ok := out.(*os.File)
	between := betweenLines
	if os.Getenv(progressLines) == "lines" {
		between = time.Second / 4
	}
	return &progressBar{out: out, now: time.Now, between: between,
		terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// show is an [ingest.Options.Progress].
func (p *progressBar) show(at ingest.Progress) {
	now := p.now()
	if p.began.IsZero() {
		p.began, p.said, p.first = now, now, at.Prompts
	}
	pace := p.pace(at, now)
	if !p.terminal {
		if now.Sub(p.said) >= p.between && at.Prompts < at.Total {
			p.said = now
			fmt.Fprintf(p.out, "%d of %d prompts%s\n", at.Prompts, at.Total, pace)
		}
		return
	}
	if p.bar == nil {
		p.container = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(60))
		p.bar = p.container.AddBar(int64(at.Total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d prompts ")),
			mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
				return p.pace(ingest.Progress{Prompts: int(s.Current), Total: int(s.Total)}, p.now())
			})))
	}
	p.bar.SetCurrent(int64(at.Prompts))
}

// pace returns the prompts per second and the time left, or "" before the first prompt.
func (p *progressBar) pace(at ingest.Progress, now time.Time) string {
	done, took := at.Prompts-p.first, now.Sub(p.began)
	if done <= 0 || took <= 0 {
		return ""
	}
	each := took / time.Duration(done)
	return fmt.Sprintf(", %.3g a second, %s left", float64(done)/took.Seconds(),
		(each * time.Duration(at.Total-at.Prompts)).Round(time.Second))
}

// stop removes the bar.
func (p *progressBar) stop() {
	if p.bar == nil {
		return
	}
	p.bar.Abort(true)
	p.container.Wait()
	p.bar = nil
}
