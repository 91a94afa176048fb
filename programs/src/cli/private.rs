//! Files that only their owner may read: captures, pages and keys contain other people's traffic and secrets.
//!
//! A file is created with mode 0600, a folder with 0700. A symbolic link is not followed, because others may have put it where
//! the file is written; `/dev/stdout` and the like, named pipes and devices work as everywhere.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Creates or truncates a file for writing, which only its owner may read from then on.
///
/// # Errors
///
/// Fails for a symbolic link outside `/dev` and `/proc`, for a file that belongs to another user, and as [`File::create`] does.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() && is_of_the_system(path) => File::create(path),
        Ok(found) if found.is_symlink() => Err(link()),
        Ok(found) if found.is_file() => {
            let file = File::options().write(true).open(path)?;
            // A link may have taken the file's place before it was opened.
            if !is_same(&file.metadata()?, &fs::symlink_metadata(path)?) {
                return Err(link());
            }
            only_for_the_owner(&file)?;
            file.set_len(0)?;
            Ok(file)
        }
        Ok(_) => File::options().write(true).open(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => new(path),
        Err(error) => Err(error),
    }
}

/// Creates a new file, which only its owner may read.
///
/// # Errors
///
/// Fails if anything has this name, even a symbolic link that leads nowhere.
pub fn new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder and those above it that are missing; only its owner may open it.
///
/// # Errors
///
/// As [`fs::create_dir_all`].
pub fn folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Returns what is wrong with the mode of a file with a secret key, and the remedy. With `readable`, others may read it, as
/// they may if a certificate's owner set it up.
pub fn flaw_of_key(path: &Path, readable: bool) -> Option<String> {
    let mode = mode(&fs::metadata(path).ok()?);
    let flaw = match mode {
        _ if mode & 0o022 != 0 => "others can write",
        _ if mode & 0o044 != 0 && !readable => "others can read",
        _ => return None,
    };
    let path = path.display();
    Some(format!(
        "{path} is a key that {flaw} (mode {mode:o}); replace it, or run chmod 600 {path} if it is still yours alone"
    ))
}

/// Returns what is wrong with the mode of a folder with a secret key, and the remedy.
pub fn flaw_of_folder(path: &Path) -> Option<String> {
    let mode = mode(&fs::metadata(path).ok()?);
    let path = path.display();
    (mode & 0o002 != 0)
        .then(|| format!("everyone can replace the files in {path} (mode {mode:o}); run chmod 700 {path}"))
}

#[cfg(unix)]
fn mode(of: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(of) & 0o777
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0o600
}

#[cfg(unix)]
fn only_for_the_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if mode(&file.metadata()?) & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(|error| {
        io::Error::new(error.kind(), format!("others can read it, and that can't be changed: {error}"))
    })
}

#[cfg(not(unix))]
fn only_for_the_owner(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.is_file() && other.is_file()
}

/// Returns true for the links that the system itself provides: `/dev/stdout`, `/proc/self/fd/1`.
fn is_of_the_system(path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.is_some_and(|folder| folder == Path::new("/dev") || folder.starts_with("/proc"))
}

fn link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link, which is not followed: name the file itself")
}

/// Returns two of these outputs that are one file, however they are written. Devices and pipes may be used twice.
pub fn same_file<'a>(outputs: &[(&'a str, &'a Path)]) -> Option<(&'a str, &'a str)> {
    let places: Vec<_> = outputs.iter().map(|(name, path)| (*name, place(path))).collect();
    places.iter().enumerate().find_map(|(at, (name, place))| {
        let earlier = places.get(..at)?.iter().find(|(_, other)| place.is_some() && place == other)?;
        Some((earlier.0, *name))
    })
}

/// Identifies a file: by its number if it exists, or by its folder and name.
fn place(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => None,
        #[cfg(unix)]
        Ok(found) => {
            use std::os::unix::fs::MetadataExt;
            Some(format!("{}:{}", found.dev(), found.ino()))
        }
        #[cfg(not(unix))]
        Ok(_) => path.canonicalize().ok().map(|path| path.display().to_string()),
        Err(_) => {
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            Some(folder.canonicalize().ok()?.join(path.file_name()?).display().to_string())
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            let path = std::env::temp_dir().join(format!("barewire-private-{}-{name}", std::process::id()));
            folder(&path).unwrap();
            Temporary(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _: io::Result<()> = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_private_and_links_are_not_followed() {
        let here = Temporary::new("create");
        assert_eq!(mode(&fs::metadata(&here.0).unwrap()), 0o700);
        let (old, fresh, link) = (here.0.join("old"), here.0.join("new"), here.0.join("link"));
        fs::write(&old, "what was there").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
        for path in [&old, &fresh, &old] {
            create(path).unwrap().write_all(b"x").unwrap();
            let found = fs::metadata(path).unwrap();
            assert_eq!((found.mode() & 0o777, found.len()), (0o600, 1), "{path:?}");
        }
        symlink(&old, &link).unwrap();
        assert!(create(&link).unwrap_err().to_string().contains("symbolic link"));
        assert_eq!(fs::read(&old).unwrap(), b"x", "nothing was written or truncated");
        fs::remove_file(&old).unwrap();
        assert!(create(&link).is_err() && new(&link).is_err(), "a link that leads nowhere");
        assert!(!old.exists());
        for device in ["/dev/null", "/dev/stderr", "/dev/fd/2"] {
            assert!(create(Path::new(device)).is_ok(), "{device}");
        }
    }

    #[test]
    fn one_file_by_several_names() {
        let here = Temporary::new("same");
        fs::create_dir(here.0.join("below")).unwrap();
        let (file, other) = (here.0.join("a"), here.0.join("below/../a"));
        let pair = [("--pcapng", file.as_path()), ("--html", Path::new("elsewhere")), ("--jsonl", other.as_path())];
        assert_eq!(same_file(&pair), Some(("--pcapng", "--jsonl")));
        fs::write(&file, "").unwrap();
        assert_eq!(same_file(&pair), Some(("--pcapng", "--jsonl")));
        assert_eq!(same_file(&[("--pcapng", Path::new("/dev/null")), ("--jsonl", Path::new("/dev/null"))]), None);
        assert_eq!(same_file(&pair[..2]), None);
    }

    #[test]
    fn keys_that_others_can_change() {
        let here = Temporary::new("keys");
        let key = here.0.join("key");
        fs::write(&key, "").unwrap();
        for (mode, readable, refused) in [
            (0o600, false, false),
            (0o644, false, true),
            (0o644, true, false),
            (0o664, true, true),
            (0o602, false, true),
        ] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(flaw_of_key(&key, readable).is_some(), refused, "{mode:o}");
        }
        assert_eq!(flaw_of_key(Path::new("/no/such/key"), false), None);
    }
}
