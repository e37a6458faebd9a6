package push

import (
	"bufio"
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
	// bodyBuffer is how much is read from the connection at once. The multipart reader alone would ask for 4 KiB.
	bodyBuffer = 64 << 10
	// fileField is the field that holds the file.
	fileField = "file"
)

// form is a multipart body, read up to the content of its file.
type form struct {
	body        *bufio.Reader
	frame       *frame
	parts       *multipart.Reader
	file        *multipart.Part
	before      int64 // bytes of the body before the file
	boundary    string
	filename    string // as sent
	contentType string // as sent, or empty
}

// openForm reads a form up to the content of its file. Errors: errNoFile, errFrame, errBroken, and those of body.
func openForm(r *http.Request, b *body) (*form, error) {
	typ, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || err != nil || typ != "multipart/form-data" || params["boundary"] == "" || r.ContentLength == 0 {
		return nil, errNoFile
	}
	f := &form{body: bufio.NewReaderSize(b, bodyBuffer), boundary: params["boundary"]}
	// The multipart reader takes the end of the body inside of a part's headers for the end of the form. It is never
	// shown the end of the body: what it calls the end is then the closing boundary and nothing else. The line break is for
	// clients that leave out the one after that boundary.
	f.frame = &frame{r: io.MultiReader(f.body, strings.NewReader("\r\n"), cutOff{}), left: frameLimit}
	f.parts = multipart.NewReader(f.frame, params["boundary"])
	other := false // a file in another field was skipped
	for {
		part, field, filename, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoFile
		case err != nil:
			return nil, err
		case field == fileField && filename == "":
			return nil, errNoFile // something else where the file belongs
		case field == fileField && other:
			return nil, errManyFile
		case field == fileField:
			f.frame.open, f.before = true, f.frame.given
			f.file, f.filename, f.contentType = part, filename, part.Header.Get("Content-Type")
			return f, nil
		}
		other = other || filename != ""
		_, err = io.Copy(io.Discard, part)
		switch {
		case err == nil:
		case filename != "" && errors.Is(f.frame.err, errFrame):
			return nil, errNoFile // a file in the wrong field, most likely the only one
		default:
			return nil, f.broken(err)
		}
	}
}

// size is how many bytes the file has in a body of so many: if nothing but the closing boundary comes after it, as all known
// clients have it. With fields behind the file it is more than that. Ends of lines that are not CR LF, or are left out at the very
// end, make it up to 3 bytes too small. -1 is unknown.
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

// finish reads the form from the end of the file to the end of the body. There must be no other file.
func (f *form) finish() error {
	f.frame.open, f.frame.left = false, frameLimit
	for {
		part, field, filename, err := f.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if field == fileField || filename != "" {
			return errManyFile
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return f.broken(err)
		}
	}
	limit := int64(f.frame.left)
	n, err := io.CopyN(io.Discard, f.body, limit+1)
	switch {
	case n > limit:
		return errFrame
	case err != nil && !errors.Is(err, io.EOF):
		return err // body's own
	}
	return nil
}

// content returns the file's content. It ends with io.EOF only when the whole form was read and found good, so that a
// store which reads it to the end may commit. limit is the most it yields, more is errTooLarge; 0 is no limit.
func (f *form) content(limit int64) *content { return &content{form: f, limit: limit} }

type content struct {
	form  *form
	limit int64
	n     int64 // bytes read
	err   error // what every further Read returns
}

func (c *content) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err := c.form.file.Read(p)
	c.n += int64(n)
	switch {
	case c.limit > 0 && c.n > c.limit:
		c.err = errTooLarge
		return 0, c.err
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

// frame counts what is read of a form while it is not open for the file. It gives a byte at a time then, so that the multipart
// reader has read not more than it has made sense of, and the count is where the file begins. Behind the file, what the
// multipart reader has read ahead, up to 4 KiB, blurs the limit.
type frame struct {
	r     io.Reader
	left  int
	given int64 // bytes, while it was not open
	open  bool
	err   error // the first that was returned
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
	if !f.open {
		f.left -= n
		f.given += int64(n)
	}
	f.err = err
	return n, err
}

// cutOff is what follows the end of a body.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, errCut }
