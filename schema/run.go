package schema

import "time"

// Model describes a model, as the model table does.
type Model struct {
	Name       string
	SHA256     string // of the weight files, in hexadecimal
	NLayers    int
	NHeads     int
	DModel     int
	DHead      int
	DMLP       int
	DVocab     int
	NCtx       int
	LNEps      float64
	Activation string
}

// RunStatus says how far a run has come.
type RunStatus uint8

// A run is running until its last batch is written and its counts are checked.
const (
	Running RunStatus = iota
	Complete
)

var runStatuses = [...]string{"running", "complete"}

// String gives the word of the run_status enumeration.
func (s RunStatus) String() string { return runStatuses[s] }

// ParseRunStatus is the inverse of [RunStatus.String].
func ParseRunStatus(s string) (RunStatus, error) {
	return parseEnum[RunStatus]("run status", runStatuses[:], s)
}

// Run is the manifest of an ingest: everything needed to make the same rows again.
type Run struct {
	Model        Model
	Heads        []Head
	Bases        []Basis // contributions refer to them by index
	Movers       []Head  // heads whose outputs are substituted and projected
	CreatedAt    time.Time
	Version      string // of ducklens
	CommandLine  string
	PromptSource string // "ioi", or the path of a prompt or template file
	Seed         int64
	BOS          bool
	Convention   Convention
	Processing   Processing
	Precision    string // "float32" or "float64"
	BLAS         string // name of the matrix-multiply provider
	Threads      int
	Factors      bool // whether factors are stored
	Pairs        bool // whether pair tables are stored for every example, not only their means
}
