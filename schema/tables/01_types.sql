-- Words that columns may hold. DuckDB cannot add a word to an enumeration that is in use, so these are sets
-- that will not grow; columns whose words may grow are VARCHAR, and ducklens verify knows the words.

-- The end of an attention score that is split over components: the query vector or the key vector.
CREATE TYPE side AS ENUM ('query', 'key');

-- Query part, then key part; each is parallel (par) or perpendicular (perp) to the basis of its side.
CREATE TYPE quadrant AS ENUM ('par_par', 'par_perp', 'perp_par', 'perp_perp');

-- Kind of a component.
CREATE TYPE component_kind AS ENUM ('embed', 'pos_embed', 'head', 'attn_bias', 'mlp', 'q_bias', 'k_bias', 'feature', 'error');

-- whole: not split; subspace: projected on it; replacement: the vector of the side that is held fixed is
-- replaced by another.
CREATE TYPE basis_kind AS ENUM ('whole', 'subspace', 'replacement');

-- running until the last batch is written and its counts are checked, then complete.
CREATE TYPE run_status AS ENUM ('running', 'complete');

-- exact: contributions add up to the score of the model; notebook: the arithmetic of the published research
-- code, which does not.
CREATE TYPE convention AS ENUM ('exact', 'notebook');

-- processed: the norms' gains folded, writing weights and unembedding centred where the norm centres, value
-- biases folded into b_O; raw: as stored. Scores are the same.
CREATE TYPE processing AS ENUM ('processed', 'raw');

-- score: at the key position; diff: at the key position minus at the baseline position.
CREATE TYPE measure AS ENUM ('score', 'diff');
