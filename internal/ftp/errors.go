package ftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/object"
)

// What goes wrong in this door beside what the object store returns.
var (
	errName      = errors.New("not a name that can be stored")
	errNoUpload  = errors.New("a file goes into a bucket: /bucket/name")
	errNoRename  = errors.New("a bucket has no other name")
	errNoSource  = errors.New("RNFR comes before RNTO")
	errIsDir     = errors.New("is a directory")
	errDirUpload = errors.New("a directory has this name")
	errNotDir    = errors.New("not a directory")
	errExists    = errors.New("already exists")
	errNotEmpty  = errors.New("directory is not empty")
	errRest      = errors.New("restart point is beyond the end of the file")
	errUnended   = errors.New("the last upload to this name has not ended: send the whole file")
	errRestLost  = errors.New("REST was not followed by this transfer")
	errRange     = errors.New("no such range of bytes")
	errTooMany   = errors.New("too many entries to list")
	errListings  = errors.New("too many listings at once")
	errForbidden = errors.New("not supported here")
	errLogin     = errors.New("login incorrect")
	errThrottled = errors.New("too many wrong logins")
	errGone      = errors.New("the client is gone")
	errLost      = errors.New("the data connection was lost")
	errNotify    = errors.New("the TLS data connection ended without close_notify")
	errAborted   = errors.New("transfer aborted")
	errQuit      = errors.New("the client said QUIT before it was answered")
	errStalled   = errors.New("no data for too long")
	errClosing   = errors.New("the server is going down")
)

// reply is an error as the client sees it: ftpserverlib sends its text, and takes the code from what it wraps.
type reply struct {
	text string
	code error // ErrStorageExceeded for 552, ErrFileNameNotAllowed for 553, nil for the command's own, which is 550 mostly
}

func (r *reply) Error() string { return r.text }
func (r *reply) Unwrap() error { return r.code }

// row is one of the table of answers.
type row struct {
	err     error
	outcome string
	code    error
}

// replyTo is the error table of this door: what the client is told, and how the operation is counted. The words are those of the
// table and the rule that a name breaks.
func replyTo(err error) (*reply, string) {
	if bad, ok := errors.AsType[*object.InvalidError](err); ok {
		return &reply{bad.Error(), ftpserver.ErrFileNameNotAllowed}, Refused
	}
	for _, r := range []row{
		{errGone, Aborted, nil},
		{errLost, Aborted, nil},
		{errNotify, Aborted, nil},
		{errAborted, Aborted, nil},
		{errQuit, Aborted, nil},
		{errStalled, Aborted, nil},
		{errClosing, Aborted, nil},
		{errName, Refused, ftpserver.ErrFileNameNotAllowed},
		{errNoUpload, Refused, ftpserver.ErrFileNameNotAllowed},
		{errNoSource, Refused, nil},
		{errNoRename, Refused, ftpserver.ErrFileNameNotAllowed},
		{errIsDir, Refused, nil},
		{errDirUpload, Refused, ftpserver.ErrFileNameNotAllowed},
		{errNotDir, Refused, nil},
		{errExists, Refused, nil},
		{errNotEmpty, Refused, nil},
		{errRest, Refused, nil},
		{errUnended, Refused, nil},
		{errRestLost, Refused, nil},
		{errRange, Refused, nil},
		{errTooMany, Refused, nil},
		{errListings, Refused, nil},
		{errForbidden, Refused, nil},
	} {
		if errors.Is(err, r.err) {
			return &reply{r.err.Error(), r.code}, r.outcome
		}
	}
	switch {
	case errors.Is(err, object.ErrCorrupt): // first: what is damaged is not missing, whatever else the error is
		return &reply{"the stored file is damaged", nil}, Failed
	case errors.Is(err, object.ErrNoSpace):
		return &reply{"no space left", ftpserver.ErrStorageExceeded}, Failed
	case errors.Is(err, object.ErrTooLarge):
		return &reply{"file is too large", ftpserver.ErrStorageExceeded}, Refused
	case errors.Is(err, object.ErrTooMany):
		return &reply{"too many files for one step", nil}, Refused
	case errors.Is(err, object.ErrNoBucket):
		return &reply{"no such bucket", nil}, Refused
	case errors.Is(err, fs.ErrNotExist):
		return &reply{"no such file or directory", nil}, Refused
	case errors.Is(err, object.ErrBucketNotEmpty):
		return &reply{"bucket is not empty", nil}, Refused
	case errors.Is(err, fs.ErrExist):
		return &reply{"already exists", nil}, Refused
	case errors.Is(err, object.ErrPrecondition):
		return &reply{"somebody else changed the file meanwhile", nil}, Refused
	case errors.Is(err, fs.ErrPermission):
		return &reply{"not allowed", nil}, Refused
	case errors.Is(err, errors.ErrUnsupported):
		return &reply{"not supported here", nil}, Refused
	case errors.Is(err, context.Canceled):
		return &reply{"interrupted", nil}, Aborted
	default:
		return &reply{"internal error", nil}, Failed
	}
}

// errorReply is what the client is told of an error.
func errorReply(err error) error {
	r, _ := replyTo(err)
	return r
}

// dataError says what became of a data connection that did not read or write. What has been said is left as it is.
func dataError(err error) error {
	if errors.Is(err, errStalled) || errors.Is(err, errLost) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return because(errStalled, err)
	}
	return because(errLost, err)
}

// because says what happened and for what cause, in one line. The addresses of a connection are left out: the log has the client's beside it.
func because(what, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return fmt.Errorf("%w: %w", what, err)
}
