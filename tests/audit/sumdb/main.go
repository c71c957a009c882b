// Sumdb accepts or rejects an exported log with the packages that Go's checksum database is made
// of. They came before the C2SP formats and are the reference for signed notes, tiles and proofs;
// here is only what those packages leave to their caller: where files lie, and the two texts.
//
//	sumdb -log VKEY [-older CHECKPOINT] [-proof FILE -leaf FILE] DIRECTORY
//
// It prints what it accepted as JSON, or one line that says why it did not, and exits with 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height    = 8 // of a tile, fixed by c2sp.org/tlog-tiles
	width     = 1 << height
	proofLine = "c2sp.org/tlog-proof@v1"
)

type accepted struct {
	Origin  string    `json:"origin"`
	Size    int64     `json:"size"`
	Root    tlog.Hash `json:"root"`
	Tiles   int       `json:"tiles"`   // files of hashes, each authenticated
	Entries int64     `json:"entries"` // whose leaf hash stands in the tiles
	Records int       `json:"records"` // whose inclusion was proved and checked
	Older   *int64    `json:"older"`   // the size that the tree was proved to have grown from
	Proof   *int64    `json:"proof"`   // the index of the proof file
}

// directory reads tiles where c2sp.org/tlog-tiles puts them: like sumdb, without the height.
type directory struct {
	path string
	read map[string]bool
}

func (d directory) Height() int { return height }

func (d directory) SaveTiles(tiles []tlog.Tile, _ [][]byte) {
	for _, tile := range tiles {
		d.read[tile.Path()] = true
	}
}

func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := os.ReadFile(d.place(tile))
		if err != nil {
			return nil, err
		}
		contents[i] = data
	}
	return contents, nil
}

func (d directory) place(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if tile.L == -1 {
		path = "entries/" + strings.TrimPrefix(path, "data/")
	}
	return filepath.Join(d.path, "tile", filepath.FromSlash(path))
}

// bundle is the entries of one file, each after its length in two bytes.
func (d directory) bundle(n int64, entries int) ([][]byte, error) {
	data, err := os.ReadFile(d.place(tlog.Tile{H: height, L: -1, N: n, W: entries}))
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("bundle %d ends within an entry", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		found, data = append(found, data[2:end]), data[end:]
	}
	if len(found) != entries {
		return nil, fmt.Errorf("bundle %d has %d entries, not %d", n, len(found), entries)
	}
	return found, nil
}

// open checks the note's signature by the log and reads its text, as c2sp.org/tlog-checkpoint.
func open(text []byte, log note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(log))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != log.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", log.Name(), opened.Text)
	}
	size, err := decimal(lines[1])
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := hash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func decimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("not a plain decimal: %q", text)
	}
	return n, nil
}

func hash(text string) (found tlog.Hash, err error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(data) != tlog.HashSize {
		return found, fmt.Errorf("not a hash: %q", text)
	}
	copy(found[:], data)
	return found, nil
}

// every compares each entry with the tiles, and reports how many there are.
func every(d directory, tree tlog.Tree, hashes tlog.HashReader) (int64, error) {
	for first := int64(0); first < tree.N; first += width {
		count := width
		if tree.N-first < width {
			count = int(tree.N - first)
		}
		entries, err := d.bundle(first/width, count)
		if err != nil {
			return 0, err
		}
		indexes := make([]int64, count)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		leaves, err := hashes.ReadHashes(indexes)
		if err != nil {
			return 0, err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[i] {
				return 0, fmt.Errorf("entry %d is not what the tiles say", first+int64(i))
			}
		}
	}
	return tree.N, nil
}

// some proves the inclusion of about a hundred entries, the first and the last among them.
func some(tree tlog.Tree, hashes tlog.HashReader) (int, error) {
	proved := 0
	for index := int64(0); index < tree.N; index += 1 + tree.N/101 {
		for _, i := range []int64{index, tree.N - 1 - index} {
			leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
			if err != nil {
				return 0, err
			}
			proof, err := tlog.ProveRecord(tree.N, i, hashes)
			if err != nil {
				return 0, err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, i, leaf[0]); err != nil {
				return 0, err
			}
			proved++
		}
	}
	return proved, nil
}

// grown proves that the tree has an older one at its beginning.
func grown(older, tree tlog.Tree, hashes tlog.HashReader) error {
	proof, err := tlog.ProveTree(tree.N, older.N, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash)
}

// included checks a proof file, as c2sp.org/tlog-proof, for the bytes of one entry.
func included(text string, leaf []byte, log note.Verifier) (int64, error) {
	head, checkpoint, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != proofLine {
		return 0, fmt.Errorf("not a proof: %q", lines[0])
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:] // nobody signed it
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return 0, fmt.Errorf("a proof without an index")
	}
	index, err := decimal(strings.TrimPrefix(lines[0], "index "))
	if err != nil {
		return 0, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		sibling, err := hash(line)
		if err != nil {
			return 0, err
		}
		proof = append(proof, sibling)
	}
	tree, err := open([]byte(checkpoint), log)
	if err != nil {
		return 0, err
	}
	return index, tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func run(vkey, older, proof, leaf, path string) (*accepted, error) {
	log, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(path, "checkpoint"))
	if err != nil {
		return nil, err
	}
	tree, err := open(text, log)
	if err != nil {
		return nil, err
	}
	d := directory{path, map[string]bool{}}
	hashes := tlog.TileHashReader(tree, d)
	result := &accepted{Origin: log.Name(), Size: tree.N, Root: tree.Hash}
	if result.Entries, err = every(d, tree, hashes); err != nil {
		return nil, err
	}
	if result.Records, err = some(tree, hashes); err != nil {
		return nil, err
	}
	result.Tiles = len(d.read)
	if older != "" {
		if text, err = os.ReadFile(older); err != nil {
			return nil, err
		}
		before, err := open(text, log)
		if err != nil {
			return nil, err
		}
		if err := grown(before, tree, hashes); err != nil {
			return nil, err
		}
		result.Older = &before.N
	}
	if proof != "" {
		text, err := os.ReadFile(proof)
		if err != nil {
			return nil, err
		}
		entry, err := os.ReadFile(leaf)
		if err != nil {
			return nil, err
		}
		index, err := included(string(text), entry, log)
		if err != nil {
			return nil, err
		}
		result.Proof = &index
	}
	return result, nil
}

func main() {
	vkey := flag.String("log", "", "the log's verifier key")
	older := flag.String("older", "", "a file with an older checkpoint of the log")
	proof := flag.String("proof", "", "a .tlog-proof file")
	leaf := flag.String("leaf", "", "a file with the entry that the proof is about")
	flag.Parse()
	result, err := run(*vkey, *older, *proof, *leaf, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}
