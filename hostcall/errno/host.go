package errno

import "syscall"

// hostPair says which portable number one of this operating system's numbers stands for.
type hostPair struct {
	host     syscall.Errno
	portable Errno
}

// commonErrnos are the names that Go's syscall package has on every operating system that this project builds for. On Windows
// most of them are Go's inventions, which its own packages return.
var commonErrnos = []hostPair{
	{syscall.EPERM, EPERM},
	{syscall.ENOENT, ENOENT},
	{syscall.ESRCH, ESRCH},
	{syscall.EINTR, EINTR},
	{syscall.EIO, EIO},
	{syscall.ENXIO, ENXIO},
	{syscall.E2BIG, E2BIG},
	{syscall.ENOEXEC, ENOEXEC},
	{syscall.EBADF, EBADF},
	{syscall.ECHILD, ECHILD},
	{syscall.EAGAIN, EAGAIN},
	{syscall.ENOMEM, ENOMEM},
	{syscall.EACCES, EACCES},
	{syscall.EFAULT, EFAULT},
	{syscall.ENOTBLK, ENOTBLK},
	{syscall.EBUSY, EBUSY},
	{syscall.EEXIST, EEXIST},
	{syscall.EXDEV, EXDEV},
	{syscall.ENODEV, ENODEV},
	{syscall.ENOTDIR, ENOTDIR},
	{syscall.EISDIR, EISDIR},
	{syscall.EINVAL, EINVAL},
	{syscall.ENFILE, ENFILE},
	{syscall.EMFILE, EMFILE},
	{syscall.ENOTTY, ENOTTY},
	{syscall.ETXTBSY, ETXTBSY},
	{syscall.EFBIG, EFBIG},
	{syscall.ENOSPC, ENOSPC},
	{syscall.ESPIPE, ESPIPE},
	{syscall.EROFS, EROFS},
	{syscall.EMLINK, EMLINK},
	{syscall.EPIPE, EPIPE},
	{syscall.EDOM, EDOM},
	{syscall.ERANGE, ERANGE},
	{syscall.EDEADLK, EDEADLK},
	{syscall.ENAMETOOLONG, ENAMETOOLONG},
	{syscall.ENOLCK, ENOLCK},
	{syscall.ENOSYS, ENOSYS},
	{syscall.ENOTEMPTY, ENOTEMPTY},
	{syscall.ELOOP, ELOOP},
	{syscall.ENOMSG, ENOMSG},
	{syscall.EIDRM, EIDRM},
	{syscall.ENOSTR, ENOSTR},
	{syscall.ENODATA, ENODATA},
	{syscall.ETIME, ETIME},
	{syscall.ENOSR, ENOSR},
	{syscall.ENOLINK, ENOLINK},
	{syscall.EPROTO, EPROTO},
	{syscall.EMULTIHOP, EMULTIHOP},
	{syscall.EBADMSG, EBADMSG},
	{syscall.EOVERFLOW, EOVERFLOW},
	{syscall.EILSEQ, EILSEQ},
	{syscall.ENOTSOCK, ENOTSOCK},
	{syscall.EDESTADDRREQ, EDESTADDRREQ},
	{syscall.EMSGSIZE, EMSGSIZE},
	{syscall.EPROTOTYPE, EPROTOTYPE},
	{syscall.ENOPROTOOPT, ENOPROTOOPT},
	{syscall.EPROTONOSUPPORT, EPROTONOSUPPORT},
	{syscall.EAFNOSUPPORT, EAFNOSUPPORT},
	{syscall.EADDRINUSE, EADDRINUSE},
	{syscall.EADDRNOTAVAIL, EADDRNOTAVAIL},
	{syscall.ENETDOWN, ENETDOWN},
	{syscall.ENETUNREACH, ENETUNREACH},
	{syscall.ENETRESET, ENETRESET},
	{syscall.ECONNABORTED, ECONNABORTED},
	{syscall.ECONNRESET, ECONNRESET},
	{syscall.ENOBUFS, ENOBUFS},
	{syscall.EISCONN, EISCONN},
	{syscall.ENOTCONN, ENOTCONN},
	{syscall.ESHUTDOWN, ESHUTDOWN},
	{syscall.ETIMEDOUT, ETIMEDOUT},
	{syscall.ECONNREFUSED, ECONNREFUSED},
	{syscall.EHOSTDOWN, EHOSTDOWN},
	{syscall.EHOSTUNREACH, EHOSTUNREACH},
	{syscall.EALREADY, EALREADY},
	{syscall.EINPROGRESS, EINPROGRESS},
	{syscall.ESTALE, ESTALE},
	{syscall.EDQUOT, EDQUOT},
	{syscall.ECANCELED, ECANCELED},
	{syscall.EOWNERDEAD, EOWNERDEAD},
	{syscall.ENOTRECOVERABLE, ENOTRECOVERABLE},
	{syscall.ENOTSUP, ENOTSUP},
	{syscall.EOPNOTSUPP, ENOTSUP},
	{syscall.EWOULDBLOCK, EAGAIN},
	{syscall.ESOCKTNOSUPPORT, ESOCKTNOSUPPORT},
	{syscall.EPFNOSUPPORT, EPFNOSUPPORT},
}

// fromHost maps a number of this operating system, EIO if it is not known. It is for errors, so a walk through the lists is quick
// enough. The system's own list comes first.
func fromHost(h syscall.Errno) Errno {
	if h == 0 {
		return OK
	}
	for _, list := range [...][]hostPair{systemErrnos, commonErrnos} {
		for _, p := range list {
			if p.host == h {
				return p.portable
			}
		}
	}
	return EIO
}
