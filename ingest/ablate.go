package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine"
	"ducklens/internal/advice"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// ErrAblation is wrapped by the error for a file in which the requested ablation is impossible.
var ErrAblation = errors.New("nothing to ablate")

// Methods of ablation: what replaces the output of a component. They are the values of the column
// ablation.method.
const (
	Zero = "zero"
	Mean = "mean"
)

// Ablator runs a model without some of its components. It is the part of engine.Engine that [Ablate] uses.
type Ablator interface {
	Run() schema.Run
	Ablate(ctx context.Context, examples []schema.Example, a engine.Ablation) ([]schema.Ablated, error)
	AddMeans(ctx context.Context, m *engine.ComponentMeans, examples []schema.Example) error
}

// AblateOptions says what to ablate in a file.
type AblateOptions struct {
	Path       string        // database file, which gets the rows
	Run        int           // 0: the last complete run
	Heads      []schema.Head // target heads of the run; nil: all
	Components []string      // names of heads and MLPs, such as 9.6 and MLP0
	// Top adds the components with the largest contributions; -1: every head and MLP.
	Top    int
	Method string // [Zero] or [Mean]
	Place  string // [engine.Everywhere], [engine.AtQuery] or [engine.AtKey]

	// Open makes an engine with the heads, the processing of weights and the precision of the run.
	Open     func(engine.Options) (Ablator, error)
	Threads  int
	Batch    int            // examples in a transaction; 0 chooses
	Progress func(Progress) // called after every batch; may be nil
	Database dbfile.Options
}

// Ablated says what an ablation has written.
type Ablated struct {
	RunID      int
	Examples   int      // in the run
	Components []string // the ablated ones
	Rows       int64    // written now
	Known      int64    // rows that were in the file already
}

// Ablate runs the model of a run on its examples without components, one component at a time, and adds the
// results to table ablation. Rows that the file has already are not computed again, and each batch is one
// transaction, so after an interrupt the same call continues. Means are over all examples of the run.
func Ablate(ctx context.Context, o AblateOptions) (done Ablated, err error) {
	o.Database.Memory = writerMemory
	db, err := dbfile.OpenWriter(ctx, o.Path, o.Database)
	if err != nil {
		return done, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return done, errors.Join(err, db.Close())
	}
	a := &ablation{writer: writer{opts: &Options{Path: o.Path}, db: db, conn: conn}, o: &o}
	err = a.run(ctx)
	// Close the file properly even if ctx is cancelled.
	return a.done, errors.Join(err, a.close(context.WithoutCancel(ctx)))
}

// ablation is an ablation in progress.
type ablation struct {
	writer
	o      *AblateOptions
	engine Ablator
	heads  []schema.Target
	of     engine.Ablation
	done   Ablated
}

func (a *ablation) run(ctx context.Context) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	if err := a.choose(ctx); err != nil {
		return err
	}
	if a.o.Method == Mean {
		if err := a.addMeans(ctx); err != nil {
			return err
		}
	}
	progress := Progress{Total: a.done.Examples, Resumable: true}
	return a.eachBatch(ctx, func(examples []schema.Example) error {
		if err := a.batch(ctx, examples); err != nil {
			return err
		}
		progress.Examples += len(examples)
		progress.Rows = a.done.Rows
		if a.o.Progress != nil {
			a.o.Progress(progress)
		}
		return nil
	})
}

// open reads the description of the run and opens its model.
func (a *ablation) open(ctx context.Context) error {
	id := sql.NullInt64{Int64: int64(a.o.Run), Valid: a.o.Run != 0}
	if !id.Valid {
		if err := a.scan(ctx, "look for runs in", []any{&id},
			"SELECT max(run_id) FROM run WHERE status = 'complete'"); err != nil {
			return err
		}
	}
	if !id.Valid {
		return fmt.Errorf("ablate in %s: %w: it has no complete run", a.o.Path, ErrAblation)
	}
	a.summary.RunID, a.done.RunID = int(id.Int64), int(id.Int64)
	var m schema.Model
	var processing, precision, status string
	var config sql.NullString
	err := a.scan(ctx, "read run "+strconv.Itoa(a.done.RunID)+" of", []any{&m.Name, &m.SHA256, &config,
		&processing, &precision, &status, &a.done.Examples},
		`SELECT m.name, m.sha256, m.config_sha256, r.processing::VARCHAR, r.precision, r.status::VARCHAR, coalesce(r.n_examples, 0)
		FROM run AS r JOIN model AS m ON m.model_id = r.model_id WHERE r.run_id = $1`, a.done.RunID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("ablate in %s: %w: there is no run %d", a.o.Path, ErrAblation, a.done.RunID)
	case err != nil:
		return err
	case status != schema.Complete.String():
		return fmt.Errorf("ablate in %s: %w: run %d is %s, want a complete one", a.o.Path, ErrAblation,
			a.done.RunID, status)
	}
	options := engine.Options{Precision: precision, Threads: a.o.Threads, AttentionOnly: true,
		Ablations: true}
	if options.Processing, err = schema.ParseProcessing(processing); err != nil {
		return fmt.Errorf("run %d of %s: %w", a.done.RunID, a.o.Path, err)
	}
	if err := a.each(ctx, "read heads of", func(rows *sql.Rows) error {
		var h schema.Head
		if err := rows.Scan(&h.Layer, &h.Index); err != nil {
			return err
		}
		if a.o.Heads == nil || slices.Contains(a.o.Heads, h) {
			options.Heads = append(options.Heads, h)
		}
		return nil
	}, "SELECT layer, head FROM head WHERE run_id = $1 ORDER BY ordinal", a.done.RunID); err != nil {
		return err
	}
	for _, h := range a.o.Heads {
		if !slices.Contains(options.Heads, h) {
			return fmt.Errorf("ablate in %s: %w: run %d has no target head %s", a.o.Path, ErrAblation,
				a.done.RunID, h)
		}
	}
	if a.engine, err = a.o.Open(options); err != nil {
		return err
	}
	a.writer.run = a.engine.Run()
	a.heads = a.writer.run.Heads
	now := &a.writer.run.Model
	if now.SHA256 != m.SHA256 || config.Valid && now.ConfigSHA != config.String {
		return &otherModelError{path: a.o.Path, run: a.done.RunID, name: m.Name,
			weights: now.SHA256 != m.SHA256}
	}
	return a.each(ctx, "read components of", func(rows *sql.Rows) error {
		var id int32
		err := rows.Scan(&id)
		a.componentIDs = append(a.componentIDs, id)
		return err
	}, "SELECT component_id FROM run_component WHERE run_id = $1 ORDER BY ordinal", a.done.RunID)
}

// otherModelError is the error for a model that differs from the model of the run.
type otherModelError struct {
	path, name string
	run        int
	weights    bool
}

func (e *otherModelError) Error() string {
	what := "configuration"
	if e.weights {
		what = "weights"
	}
	return fmt.Sprintf("ablate in %s: run %d was made with %s, and this model has other %s", e.path,
		e.run, e.name, what)
}

// Hint says which model to give.
func (e *otherModelError) Hint() string {
	return fmt.Sprintf("--model is the model of the run, %s: ducklens info FILE has the digest "+
		"of its weights", e.name)
}

// choose selects components by name and by the size of their contributions.
func (a *ablation) choose(ctx context.Context) error {
	if len(a.componentIDs) != len(a.writer.run.Components) {
		return fmt.Errorf("ablate in %s: %w: run %d has %d components, the model has %d", a.o.Path,
			ErrAblation, a.done.RunID, len(a.componentIDs), len(a.writer.run.Components))
	}
	highest := 0
	for _, h := range a.heads {
		highest = max(highest, h.Layer)
	}
	chosen := map[int]bool{}
	below := map[string]int{} // heads and MLPs that write before a target head, by name
	for i, c := range a.writer.run.Components {
		if engine.Ablatable(c) && c.Layer < highest {
			below[c.Label()] = i
			if a.o.Top < 0 {
				chosen[i] = true
			}
		}
	}
	for _, name := range a.o.Components {
		i, ok := below[name]
		if !ok {
			return advice.Add(fmt.Errorf("ablate in %s: %w: %q is no head or MLP below layer %d, "+
				"the highest layer of the target heads", a.o.Path, ErrAblation, name, highest),
				"head 2 of layer 0 is 0.2, and the MLP of layer 0 is MLP0")
		}
		chosen[i] = true
	}
	if a.o.Top > 0 {
		largest, err := a.largest(ctx, below)
		if err != nil {
			return err
		}
		for _, i := range largest {
			chosen[i] = true
		}
	}
	for i, c := range a.writer.run.Components {
		if chosen[i] {
			a.of.Components = append(a.of.Components, i)
			a.done.Components = append(a.done.Components, c.Label())
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("ablate in %s: %w: no head or MLP writes before the target heads",
			a.o.Path, ErrAblation)
	}
	a.of.Place = a.o.Place
	return nil
}

// largest lists the components with the largest unsplit contributions: the mean, over examples, sides and
// target heads, of the absolute contribution to the score, or to score - baseline if there is a baseline.
func (a *ablation) largest(ctx context.Context, below map[string]int) (list []int, err error) {
	heads := make([]string, len(a.heads))
	for i, h := range a.heads {
		heads[i] = strconv.Itoa(int(a.headID(h.Head)))
	}
	err = a.each(ctx, "rank components of", func(rows *sql.Rows) error {
		var label string
		if err := rows.Scan(&label); err != nil {
			return err
		}
		if i, ok := below[label]; ok && len(list) < a.o.Top {
			list = append(list, i)
		}
		return nil
	}, `SELECT c.label FROM contribution_wide AS w JOIN component AS c ON c.component_id = w.component_id
		JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
		JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
		WHERE w.run_id = $1 AND w.head_id IN (`+strings.Join(heads, ", ")+`) AND c.kind IN ('head', 'mlp')
		GROUP BY c.component_id, c.label
		ORDER BY avg(abs(coalesce(w.score_perp_perp - w.baseline_perp_perp, w.score_perp_perp))) DESC, c.component_id`, a.done.RunID)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("ablate in %s: %w: run %d has no contributions to choose components by: name them",
			a.o.Path, ErrAblation, a.done.RunID)
	}
	return list, err
}

// ablationTokens bounds the tokens of a batch, summed over its examples and components.
const ablationTokens = 20_000

// eachBatch reads the examples of the run in batches and calls f for each batch.
func (a *ablation) eachBatch(ctx context.Context, f func([]schema.Example) error) error {
	var batch []schema.Example
	tokens := 0
	for next := int64(-1); ; {
		x, err := a.example(ctx, &next)
		if err != nil {
			return err
		}
		if x != nil {
			batch = append(batch, *x)
			tokens += (x.Query + 1) * len(a.of.Components)
		}
		if len(batch) > 0 && (x == nil || tokens >= ablationTokens || len(batch) == a.o.Batch) {
			if err := f(batch); err != nil {
				return err
			}
			batch, tokens = nil, 0
		}
		if x == nil {
			return nil
		}
	}
}

// example reads the first example with a number above *after. It returns nil if there is none.
func (a *ablation) example(ctx context.Context, after *int64) (*schema.Example, error) {
	if ctx.Err() != nil {
		return nil, cancelled(ctx)
	}
	x := &schema.Example{RandomName: schema.NoToken, RandomToken: schema.NoToken}
	op := "read examples of"
	err := a.scan(ctx, op, []any{&x.Index, &x.PromptIndex, &x.Query, &x.Key, &x.Baseline},
		`SELECT example_id, prompt_id, query_pos, key_pos, coalesce(baseline_pos, -1) FROM edge WHERE run_id = $1 AND example_id > $2 ORDER BY example_id LIMIT 1`, a.done.RunID, *after)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	*after = int64(x.Index)
	err = a.each(ctx, op, func(rows *sql.Rows) error {
		var t schema.Token
		err := rows.Scan(&t.ID, &t.Text)
		x.Tokens = append(x.Tokens, t)
		return err
	}, "SELECT token_id, text FROM prompt_token WHERE run_id = $1 AND prompt_id = $2 ORDER BY pos",
		a.done.RunID, x.PromptIndex)
	return x, err
}

// addMeans computes the means over all examples.
func (a *ablation) addMeans(ctx context.Context) error {
	a.of.Means = engine.NewComponentMeans(a.of.Place, a.of.Components)
	return a.eachBatch(ctx, func(examples []schema.Example) error {
		if err := a.engine.AddMeans(ctx, a.of.Means, examples); err != nil {
			return stopped(ctx, err)
		}
		return nil
	})
}

// stopped returns the reason of a cancelled context, if it is cancelled, and err otherwise.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	return err
}

// known is the key of an ablation that the file has.
type known struct{ example, head, component int32 }

// batch computes the ablations of some examples that the file lacks, and commits them.
func (a *ablation) batch(ctx context.Context, examples []schema.Example) error {
	there := map[known]bool{}
	if err := a.each(ctx, "read ablations of", func(rows *sql.Rows) error {
		var k known
		err := rows.Scan(&k.example, &k.head, &k.component)
		there[k] = true
		return err
	}, "SELECT example_id, head_id, component_id FROM ablation WHERE run_id = $1 AND method = $2 "+
		"AND place = $3 AND example_id BETWEEN $4 AND $5",
		a.done.RunID, a.o.Method, a.o.Place, examples[0].Index, examples[len(examples)-1].Index); err != nil {
		return err
	}
	var wanted []schema.Example
	for _, x := range examples {
		missing := false
		for _, c := range a.of.Components {
			for _, h := range a.heads {
				switch {
				case h.Layer <= a.writer.run.Components[c].Layer:
				case there[known{int32(x.Index), a.headID(h.Head), a.componentID(c)}]:
					a.done.Known++
				default:
					missing = true
				}
			}
		}
		if missing {
			wanted = append(wanted, x)
		}
	}
	rows := []schema.Ablated(nil)
	if len(wanted) > 0 {
		var err error
		if rows, err = a.engine.Ablate(ctx, wanted, a.of); err != nil {
			return stopped(ctx, err)
		}
	}
	rows = slices.DeleteFunc(rows, func(r schema.Ablated) bool {
		return there[known{int32(r.Example), a.headID(r.Head), a.componentID(r.Component)}]
	})
	if len(rows) == 0 {
		return nil
	}
	err := a.db.InTx(context.WithoutCancel(ctx), a.conn, func() (err error) {
		table, err := a.db.Appender(a.conn, "ablation")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, table.Close()) }()
		for i := range rows {
			r := &rows[i]
			if err := table.AppendRow(a.runID(), int32(r.Example), a.headID(r.Head),
				a.componentID(r.Component), a.o.Method, a.o.Place, r.Score, nullable(r.Baseline), r.Prob,
				nullable(r.BaselineProb), nullable(r.KeyLogit), nullable(r.BaselineLogit),
				nullable(r.OwnKeyLogit), nullable(r.OwnBaselineLogit)); err != nil {
				return fmt.Errorf("example %d: %w", r.Example, err)
			}
		}
		return nil
	})
	if err == nil {
		a.done.Rows += int64(len(rows))
	}
	return err
}
