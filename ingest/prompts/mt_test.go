package prompts_test

import (
	"hash/crc32"
	"slices"
	"testing"

	"ducklens/ingest/prompts"
)

// CPython 3.11.7 printed these numbers. For each seed: random.seed(seed); three getrandbits(32);
// random._inst._randbelow(n) for each n of belowLimits; shuffle of 0..7; twelve choices of a lower-case
// letter. (3626764237, 1654615998, 3255389356 are the first outputs of any Python 3 for seed 0.)
var belowLimits = []int{1, 2, 3, 10, 109, 1000000, 1<<31 - 1}

func TestPythonRandom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seed     int64
		bits     []uint32
		below    []int
		shuffled []int
		chosen   string
	}{
		{0, []uint32{3626764237, 1654615998, 3255389356}, []int{0, 0, 1, 8, 62, 424604, 1971893209}, []int{6, 0, 5, 1, 7, 2, 3, 4}, "jeydtzirwzte"},
		{1, []uint32{577090037, 2444712010, 3639700191}, []int{0, 1, 0, 7, 97, 471325, 1014138928}, []int{2, 5, 4, 3, 0, 1, 7, 6}, "ntyyawoixzhs"},
		{42, []uint32{2746317213, 478163327, 107420369}, []int{0, 0, 0, 2, 94, 107473, 1453201078}, []int{7, 2, 5, 6, 0, 3, 4, 1}, "hqtargwuwrnh"},
		{-42, []uint32{2746317213, 478163327, 107420369}, []int{0, 0, 0, 2, 94, 107473, 1453201078}, []int{7, 2, 5, 6, 0, 3, 4, 1}, "hqtargwuwrnh"},
		{4294967295, []uint32{2728839433, 2661025012, 872737089}, []int{0, 1, 2, 5, 48, 705016, 1478697702}, []int{1, 6, 7, 0, 5, 3, 2, 4}, "zpzqlfxwbkbm"},
		{4294967296, []uint32{485306839, 1508871100, 1794561286}, []int{0, 0, 2, 5, 107, 572111, 2136155826}, []int{4, 5, 2, 3, 6, 1, 0, 7}, "kxmpofwdvjwe"},
		{123456789012345, []uint32{2896848117, 946991832, 1255537387}, []int{0, 0, 2, 1, 79, 712142, 408326829}, []int{3, 6, 0, 5, 4, 2, 1, 7}, "rfduptcnrdvg"},
		{-9223372036854775808, []uint32{2377109768, 1691753470, 4039908392}, []int{0, 0, 2, 1, 45, 790654, 715478820}, []int{6, 2, 0, 7, 1, 5, 3, 4}, "lrzyfxfitvml"},
		{9223372036854775807, []uint32{1359979423, 2819855560, 2711238091}, []int{0, 1, 1, 1, 61, 811029, 1535364169}, []int{6, 3, 7, 0, 2, 5, 1, 4}, "byhfrmfyznmp"},
	} {
		r := prompts.NewPyRandom(c.seed)
		for i, want := range c.bits {
			if got := r.Bits(32); got != want {
				t.Errorf("seed %d: getrandbits(32) number %d is %d, want %d", c.seed, i, got, want)
			}
		}
		for i, n := range belowLimits {
			if got := r.Below(n); got != c.below[i] {
				t.Errorf("seed %d: _randbelow(%d) is %d, want %d", c.seed, n, got, c.below[i])
			}
		}
		list := []int{0, 1, 2, 3, 4, 5, 6, 7}
		if r.Shuffle(list); !slices.Equal(list, c.shuffled) {
			t.Errorf("seed %d: shuffle gives %v, want %v", c.seed, list, c.shuffled)
		}
		var chosen []byte
		for range c.chosen {
			chosen = append(chosen, r.Choice([]byte("abcdefghijklmnopqrstuvwxyz")))
		}
		if string(chosen) != c.chosen {
			t.Errorf("seed %d: choices %q, want %q", c.seed, chosen, c.chosen)
		}
	}
}

// TestPythonRandomLong covers many state updates: the CRC-32 of 100,000 calls of random.choice(range(109))
// after random.seed(42), computed with CPython 3.11.7's zlib.crc32.
func TestPythonRandomLong(t *testing.T) {
	t.Parallel()
	r := prompts.NewPyRandom(42)
	drawn := make([]byte, 100_000)
	for i := range drawn {
		drawn[i] = byte(r.Below(109))
	}
	if got := crc32.ChecksumIEEE(drawn); got != 1524515235 {
		t.Errorf("checksum of 100000 draws %d, want 1524515235", got)
	}
}
