package push

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

const (
	// frameLimit is how much a form may hold before the file and again after it: boundaries, headers, other fields.
	frameLimit = 16 << 10
	// frameSlack is more than all of a frame.
	frameSlack = 3 * frameLimit
	// peeked is what the multipart reader reads ahead at the most.
	peeked = 4 << 10
	// bodyBuffer is how much is read from the connection at once. The multipart reader alone would ask for 4 KiB.
	bodyBuffer = 64 << 10
	// fileField is the field that holds the file.
	fileField = "file"
)

// form is a multipart body, read up to the content of its file.
type form struct {
	raw         *body
	body        *bufio.Reader // of raw
	frame       *frame
	parts       *multipart.Reader
	file        *multipart.Part
	before      int64 // bytes of the body before the file
	boundary    string
	filename    string // as sent
	contentType string // as sent, or empty
	sha256      []byte // that the file is said to have, or nil
	whole       []byte // the SHA-256 that the body is said to have, or nil
	got         int64  // bytes of the file, so far
}

// openForm reads a form up to the content of its file. Errors: errNoFile, errManyFile, errFrame, errBroken, InvalidError of a digest,
// and those of body; what comes with them is nil or has the name of the file that was seen last, for the log.
func openForm(r *http.Request, b *body) (*form, error) {
	boundary := boundaryOf(r)
	if boundary == "" || r.Method != http.MethodPost && r.Method != http.MethodPut || r.ContentLength == 0 {
		return nil, errNoFile
	}
	f := &form{raw: b, body: bufio.NewReaderSize(b, bodyBuffer), boundary: boundary}
	if err := f.digests(r); err != nil {
		return nil, err
	}
	// The multipart reader takes the end of the body inside of a part's headers for the end of the form. It is never
	// shown the end of the body: what it calls the end is then the closing boundary and nothing else. The line break is for
	// clients that leave out the one after that boundary.
	f.frame = &frame{r: io.MultiReader(f.body, strings.NewReader("\r\n"), cutOff{}), left: frameLimit}
	f.parts = multipart.NewReader(f.frame, boundary)
	other := false // a file in another field was skipped
	for {
		part, field, filename, err := f.next()
		if filename != "" {
			f.filename = filename
		}
		switch {
		case errors.Is(err, io.EOF):
			return f, errNoFile
		case err != nil:
			return f, err
		case field == fileField && filename == "":
			return f, errNoFile // something else where the file belongs
		case field == digestField && filename != "":
			return f, badDigest("the field sha256 is a file; it has to be a value: with curl, -F 'sha256=<FILE'")
		case field == fileField && other:
			return f, errManyFile
		case field == fileField:
			f.frame.open, f.before = true, f.frame.given
			f.file, f.contentType = part, part.Header.Get("Content-Type")
			return f, nil
		}
		other = other || filename != ""
		value, err := io.ReadAll(part) // no more than frameLimit
		switch {
		case err == nil && field == digestField:
			if err := f.announce(string(value)); err != nil {
				return f, err
			}
		case err == nil:
		case filename != "" && errors.Is(f.frame.err, errFrame):
			return f, errNoFile // a file in the wrong field, most likely the only one
		default:
			return f, f.broken(err)
		}
	}
}

// boundaryOf is that of the form in a request, or empty when there is none.
func boundaryOf(r *http.Request) string {
	typ, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// digests reads those in the head of the request. Those that RFC 9530 has are about the body, and so about all of the form.
func (f *form) digests(r *http.Request) (err error) {
	if err := f.raw.noLateDigest(r); err != nil {
		return err
	}
	if f.sha256, err = fileDigest(r.Header); err != nil {
		return err
	}
	if f.whole, err = bodyDigest(r.Header); f.whole != nil {
		f.raw.sum = sha256.New()
	}
	return err
}

// announce takes the value of digestField.
func (f *form) announce(value string) error {
	sum, err := parseDigest(value)
	if err == nil {
		f.sha256, err = agree(f.sha256, sum)
	}
	return err
}

// size is how many bytes the file has in a body of so many: if nothing but the closing boundary comes after it, as all known
// clients have it, but for a line break more. With fields behind the file it is more than that. Ends of lines that are not CR LF, or
// are left out at the very end, make it up to 3 bytes too small. -1 is unknown.
func (f *form) size(contentLength int64) int64 {
	behind := len("\r\n--") + len(f.boundary) + len("--\r\n")
	return max(contentLength-f.before-int64(behind), -1)
}

// next returns the next part, its field and, when it is a file, its name. The error is io.EOF after the closing boundary.
// Parts are raw: what is stored is what was sent, whatever a Content-Transfer-Encoding makes of it.
func (f *form) next() (part *multipart.Part, field, filename string, err error) {
	part, err = f.parts.NextRawPart()
	if errors.Is(err, io.EOF) {
		return nil, "", "", io.EOF
	}
	if err != nil {
		return nil, "", "", f.broken(err)
	}
	typ, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || typ != "form-data" {
		return nil, "", "", fmt.Errorf("%w: a part without a proper Content-Disposition", errBroken)
	}
	return part, params["name"], params["filename"], nil
}

// finish reads the form from the end of the file to the end of the body. There must be no other file, and only one closing boundary:
// what looks like the first of two is part of a file that would be cut off there. Anything else may follow, as RFC 2046 has it, and
// many a client sends one line break more.
func (f *form) finish() error {
	f.frame.close(f.before + f.got)
	for {
		part, field, filename, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if field == digestField {
			return badDigest("the field sha256 goes before the file")
		}
		if field == fileField || filename != "" {
			return errManyFile
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return f.broken(err)
		}
	}
	epilogue, err := io.ReadAll(io.LimitReader(f.body, int64(f.frame.left)+1))
	behind := "\n" + string(f.frame.tail) + string(epilogue)
	switch {
	case len(epilogue) > f.frame.left:
		return errFrame
	case err != nil:
		return err // body's own
	case strings.Count(behind, "\n--"+f.boundary+"--") > 1:
		return fmt.Errorf("%w: %d bytes of the file, and then its closing boundary twice", errBroken, f.got)
	case f.whole != nil:
		return checkDigest(f.whole, f.raw.sum.Sum(nil))
	}
	return nil
}

// offer is the form's file as the client announces it, in a body of so many bytes or -1.
func (f *form) offer(contentLength int64) offer {
	return offer{name: f.filename, contentType: f.contentType, sha256: f.sha256, size: f.size(contentLength)}
}

// content returns the file's content. It ends with io.EOF only when the whole form was read and found good, so that a
// store which reads it to the end may commit.
func (f *form) content() io.Reader { return &content{form: f} }

type content struct {
	form *form
	err  error // what every further Read returns
}

func (c *content) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err := c.form.file.Read(p)
	c.form.got += int64(n)
	switch {
	case n > 0:
		return n, nil // a part repeats its error
	case err == nil:
		return 0, nil
	case errors.Is(err, io.EOF):
		if c.err = c.form.finish(); c.err == nil {
			c.err = io.EOF
		}
	default:
		c.err = c.form.broken(err)
	}
	return 0, c.err
}

// broken says why the multipart reader could not go on; it may itself see no more than half a line. The result never unwraps
// to io.EOF or io.ErrUnexpectedEOF: who reads a file in blocks could take it for the file's end.
func (f *form) broken(err error) error {
	if f.frame.err != nil {
		return f.frame.err
	}
	return fmt.Errorf("%w: %v", errBroken, err) //nolint:errorlint // see above
}

// frame counts what is read of a form. While it is not open for the file it gives a byte at a time, up to a limit, so that the
// multipart reader has read not more than it has made sense of, and the count is where the file begins. Behind the file, what
// the multipart reader has read ahead blurs the limit.
type frame struct {
	r     io.Reader
	left  int    // bytes that it may still give while it is not open
	given int64  // bytes, in all
	tail  []byte // the last of them: peeked or more, and all behind the file
	open  bool
	err   error // the first that was returned
}

// close ends the file, behind which the bytes from end on are.
func (f *frame) close(end int64) {
	f.open, f.left = false, frameLimit
	f.tail = f.tail[len(f.tail)-int(f.given-end):]
}

func (f *frame) Read(p []byte) (int, error) {
	if !f.open && f.left == 0 && f.err == nil {
		f.err = errFrame
	}
	if f.err != nil {
		return 0, f.err
	}
	if !f.open {
		p = p[:min(len(p), 1)]
	}
	n, err := f.r.Read(p)
	f.given += int64(n)
	if !f.open {
		f.left -= n
	} else if len(f.tail) >= 4*peeked {
		f.tail = append(f.tail[:0], f.tail[len(f.tail)-peeked:]...)
	}
	f.tail = append(f.tail, p[:n]...)
	f.err = err
	return n, err
}

// cutOff is what follows the end of a body.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, errCut }
