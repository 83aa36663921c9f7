package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// exportPage is how many identities are read at once, importPage how many lines
	// are written at once.
	exportPage = 500
	importPage = 1000
	// maxImportLine bounds a line in bytes: a twin as large as it may be, its
	// metadata, and escapes.
	maxImportLine = 4 << 20
)

// keysExcluded is the first line of an export without keys.
const keysExcluded = "Warning: keys were excluded from this export; a device that is imported from it gets new ones."

// exportRegistry writes a line for each identity, a device before its modules.
// Source: IoT Hub, import and export device identities in bulk.
func (h *Hub) exportRegistry(ctx context.Context, j *registryJob) error {
	req := *j.doc.Request
	container, err := h.o.Containers(req.OutputBlobContainerURI)
	if err != nil {
		return err
	}
	err = exportBlob(ctx, container, req.OutputBlobName, func(out *bufio.Writer) error {
		return h.writeExport(ctx, j, out, !req.ExcludeKeysInExport)
	})
	if err == nil && req.IncludeConfigurations {
		err = exportBlob(ctx, container, req.ConfigurationsBlobName, func(out *bufio.Writer) error { return h.exportConfigurations(ctx, out) })
	}
	return err
}

// exportBlob uploads what write writes.
func exportBlob(ctx context.Context, c Container, blob string, write func(*bufio.Writer) error) error {
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		out := bufio.NewWriterSize(writer, 64<<10)
		err := write(out)
		_ = writer.CloseWithError(errors.Join(err, out.Flush())) // never fails
	}()
	err := c.Upload(ctx, blob, reader)
	// Ends the goroutine when the upload did not take everything.
	_ = reader.CloseWithError(errors.New("the upload ended"))
	<-done
	return err
}

func (h *Hub) writeExport(ctx context.Context, j *registryJob, out *bufio.Writer, withKeys bool) error {
	if !withKeys {
		if _, err := out.WriteString(keysExcluded + "\r\n"); err != nil {
			return err
		}
	}
	counts, err := h.o.Registry.Counts(ctx)
	if err != nil {
		return err
	}
	total, done, resume := max(counts.Devices+counts.Modules, 1), 0, ""
	for {
		records, next, err := h.o.Registry.Export(ctx, resume, exportPage)
		if err != nil {
			return err
		}
		for _, r := range records {
			line, err := iothub.ExportDevice(r.Identity, r.Twin, withKeys)
			if err != nil {
				return err
			}
			text, err := json.Marshal(line)
			if err != nil {
				return err
			}
			if _, err := out.Write(append(text, '\r', '\n')); err != nil {
				return err
			}
		}
		done += len(records)
		if next == "" {
			return nil
		}
		resume = next
		if err := h.progress(j, done, total); err != nil {
			return err
		}
	}
}

// progress stores how far a job is when that has changed by a percent.
func (h *Hub) progress(j *registryJob, done, total int) error {
	if percent := min(done*100/total, 99); percent > j.doc.Job.Progress {
		return h.setRegistryJob(j, iothub.RegistryJobRunning, percent, "")
	}
	return nil
}

// importRegistry takes each line for itself: what is refused is told in the error
// log of the output container, and the job completes all the same.
// Source: IoT Hub, import and export device identities in bulk.
func (h *Hub) importRegistry(ctx context.Context, j *registryJob) error {
	req := *j.doc.Request
	in, err := h.o.Containers(req.InputBlobContainerURI)
	if err != nil {
		return err
	}
	out, err := h.o.Containers(req.OutputBlobContainerURI)
	if err != nil {
		return err
	}
	var refused bytes.Buffer
	err = h.importBlob(ctx, in, req.InputBlobName, func(body io.Reader) error { return h.readImport(ctx, j, body, &refused) })
	if err == nil && req.IncludeConfigurations {
		err = h.importBlob(ctx, in, req.ConfigurationsBlobName, func(body io.Reader) error {
			return eachLine(body, func(_ int, line []byte) error {
				if id, err := h.importConfiguration(ctx, line); err != nil {
					refuse(&refused, &iothub.ExportImportDevice{ID: id}, err)
				}
				return ctx.Err()
			})
		})
	}
	// What was refused is told even if the rest could not be read.
	return errors.Join(err, out.Upload(ctx, iothub.ImportErrorsBlob, &refused))
}

func (h *Hub) importBlob(ctx context.Context, c Container, blob string, read func(io.Reader) error) error {
	body, err := c.Download(ctx, blob)
	if errors.Is(err, ErrNoBlob) {
		return fmt.Errorf("the input container has no blob %q", blob)
	} else if err != nil {
		return err
	}
	return errors.Join(read(body), body.Close())
}

func (h *Hub) readImport(ctx context.Context, j *registryJob, body io.Reader, refused *bytes.Buffer) error {
	var (
		page []iothub.ExportImportDevice
		// broken are the lines of the page that are none, by place: they are empty entries.
		broken = map[int]error{}
	)
	flush := func() error {
		for i, err := range h.Bulk(ctx, page, BulkOptions{AnyParent: true, NeedStatus: true}) {
			if bad := broken[i]; bad != nil {
				err = bad
			}
			if err != nil {
				refuse(refused, &page[i], err)
			}
		}
		page = page[:0]
		clear(broken)
		return ctx.Err()
	}
	err := eachLine(body, func(number int, line []byte) error {
		var entry iothub.ExportImportDevice
		if err := json.Unmarshal(line, &entry); err != nil {
			entry = iothub.ExportImportDevice{}
			broken[len(page)] = iothub.NewError(iothub.CodeDeserializationError, "Line %d is not an ExportImportDevice: %s.", number, err)
		}
		if page = append(page, entry); len(page) < importPage {
			return nil
		}
		if err := flush(); err != nil {
			return err
		}
		// How many lines there are is not known: this rises and never arrives.
		return h.progress(j, number, number+100*importPage)
	})
	return errors.Join(flush(), err)
}

// eachLine calls do for the lines that are not empty, with their numbers from 1.
func eachLine(body io.Reader, do func(number int, line []byte) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxImportLine)
	number := 0
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if number++; number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(line) == 0 {
			continue
		}
		if err := do(number, line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d could not be read: %w", number+1, err)
	}
	return nil
}

// refuse adds a line to the error log.
func refuse(log *bytes.Buffer, e *iothub.ExportImportDevice, err error) {
	he := iothub.AsError(err)
	line, err := json.Marshal(iothub.BulkError{
		DeviceID: e.ID, ModuleID: e.ModuleID, ErrorCode: he.Code.String(), ErrorStatus: he.Message, Operation: e.ImportMode,
	})
	if err == nil { // it is made of text
		log.Write(append(line, '\r', '\n'))
	}
}
