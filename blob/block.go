package blob

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Limits of blocks. Source: Scalability and performance targets for Blob storage.
const (
	maxBlocks            = 50_000
	maxUncommittedBlocks = 100_000
	maxBlockID           = 64
)

// putBlock keeps a block until it is committed.
func (s *Server) putBlock(w http.ResponseWriter, r *request) error {
	id := r.query.Get("blockid")
	decoded, err := base64.StdEncoding.DecodeString(id)
	if err != nil || len(decoded) == 0 || len(decoded) > maxBlockID {
		return badRequest("InvalidQueryParameterValue", "blockid must be the base64 of 1 to %d bytes.", maxBlockID)
	}
	err = s.files.look(r.container, func(c *folder) error {
		if c.blobs[r.blob] != nil && !r.mayOverwrite() {
			return r.checkReplace(c.blobs[r.blob])
		}
		return checkBlock(c.blocks[r.blob], id)
	})
	if err != nil {
		return err
	}
	body, err := r.body(maxBlock)
	if err != nil {
		return err
	}
	file, size, err := s.files.receive(r.container, partSuffix, body)
	if err != nil {
		return err
	}
	sum, err := body.check()
	if err == nil {
		err = s.files.addBlock(r, id, part{file: file, size: size})
	}
	if err != nil {
		s.files.remove(r.container, file)
		return err
	}
	w.Header().Set("Content-MD5", sum)
	w.Header().Set("x-ms-request-server-encrypted", "false")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// checkBlock refuses too many blocks and IDs of different lengths.
func checkBlock(blocks map[string]part, id string) error {
	if len(blocks) >= maxUncommittedBlocks {
		return refuse(http.StatusConflict, "BlockCountExceedsLimit", "The uncommitted block count cannot exceed %d.", maxUncommittedBlocks)
	}
	for other := range blocks {
		if len(other) != len(id) {
			return badRequest("InvalidBlobOrBlock", "The block IDs of a blob must have the same length.")
		}
		break
	}
	return nil
}

func (f *files) addBlock(r *request, id string, p part) error {
	return f.look(r.container, func(c *folder) error {
		if err := checkBlock(c.blocks[r.blob], id); err != nil {
			return err
		}
		p.staged = f.now().UTC()
		if err := f.writeJSON(staged{r.blob, id, p.size, p.staged}, r.container, stagedFile(p.file)); err != nil {
			return err
		}
		f.removePart(r.container, c.stage(r.blob, id, p))
		return nil
	})
}

// blockSource reads a block from where it is. Its file is open only while it is
// read, because a list may have 50,000 of them.
type blockSource struct {
	block
	path   string
	offset int64
	file   *os.File
	left   *io.SectionReader
}

// Read implements io.Reader.
func (b *blockSource) Read(p []byte) (int, error) {
	if b.left == nil {
		file, err := os.Open(b.path)
		if errors.Is(err, os.ErrNotExist) {
			return 0, badRequest("InvalidBlockList", "The specified block list is invalid: a block was replaced meanwhile.")
		} else if err != nil {
			return 0, err
		}
		b.file, b.left = file, io.NewSectionReader(file, b.offset, b.Size)
	}
	n, err := b.left.Read(p)
	if err != nil {
		_ = b.file.Close()
	}
	return n, err
}

// putBlockList makes a blob of blocks that were put, and of blocks that it has.
func (s *Server) putBlockList(w http.ResponseWriter, r *request) error {
	e, err := r.newEntry()
	if err != nil {
		return err
	}
	// The content's own headers, not those of the XML.
	e.Headers = r.contentHeaders(false)
	if e.Headers["Content-Type"] == "" {
		e.Headers["Content-Type"] = "application/octet-stream"
	}
	body, err := r.body(maxList)
	if err != nil {
		return err
	}
	list, err := readBlockList(body)
	if err != nil {
		return err
	}
	if _, err := body.check(); err != nil {
		return err
	}
	sources, err := s.files.findBlocks(r, list)
	if err != nil {
		return err
	}
	if len(sources) > 0 {
		readers := make([]io.Reader, len(sources))
		for i, source := range sources {
			readers[i] = source
			e.Blocks = append(e.Blocks, source.block)
		}
		if e.Data, e.Size, err = s.files.receive(r.container, dataSuffix, io.MultiReader(readers...)); err != nil {
			return err
		}
	}
	if err := s.files.put(r.container, e, r.checkReplace); err != nil {
		s.files.remove(r.container, e.Data)
		return err
	}
	s.files.forgetBlocks(r.container, r.blob)
	return created(w, e)
}

// listed is an entry of a block list.
type listed struct{ from, id string }

// readBlockList reads the XML; its elements have an order that the types of
// encoding/xml would lose.
func readBlockList(body io.Reader) ([]listed, error) {
	d := xml.NewDecoder(body)
	var list []listed
	invalid := func(err error) error {
		return badRequest("InvalidXmlDocument", "The block list is not valid XML (%v).", err)
	}
	depth, whole := 0, false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, invalid(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			switch {
			case depth == 1 && t.Name.Local != "BlockList":
				return nil, invalid(fmt.Errorf("unexpected %s", t.Name.Local))
			case depth == 2 && (t.Name.Local == "Latest" || t.Name.Local == "Committed" || t.Name.Local == "Uncommitted"):
				list = append(list, listed{from: t.Name.Local})
			case depth > 1:
				return nil, invalid(fmt.Errorf("unexpected %s", t.Name.Local))
			}
		case xml.EndElement:
			depth--
			whole = depth == 0
		case xml.CharData:
			if depth == 2 {
				list[len(list)-1].id += strings.TrimSpace(string(t))
			}
		}
		if len(list) > maxBlocks {
			return nil, badRequest("BlockListTooLong", "The block list may not contain more than %d blocks.", maxBlocks)
		}
	}
	if !whole {
		return nil, invalid(io.ErrUnexpectedEOF)
	}
	return list, nil
}

// findBlocks finds the blocks of a list.
func (f *files) findBlocks(r *request, list []listed) (sources []*blockSource, err error) {
	err = f.look(r.container, func(c *folder) error {
		old := c.blobs[r.blob]
		if err := r.checkReplace(old); err != nil {
			return err
		}
		committed := map[string]blockSource{}
		if old != nil {
			offset := int64(0)
			for _, b := range old.Blocks {
				committed[b.ID] = blockSource{block: b, path: f.path(r.container, old.Data), offset: offset}
				offset += b.Size
			}
		}
		for _, want := range list {
			p, isNew := c.blocks[r.blob][want.id]
			source, isOld := committed[want.id]
			switch {
			case isNew && want.from != "Committed":
				source = blockSource{block: block{want.id, p.size}, path: f.path(r.container, p.file)}
			case isOld && want.from != "Uncommitted":
			default:
				return badRequest("InvalidBlockList", "The specified block list is invalid: there is no %s block %.90q.", strings.ToLower(want.from), want.id)
			}
			sources = append(sources, &source)
		}
		return nil
	})
	return sources, err
}
