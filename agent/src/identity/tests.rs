//! Tests of the identity on disk: who may read it, and what is no identity.

use std::os::unix::fs::PermissionsExt as _;

use super::enrol::tests::Table;
use super::*;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_kept_is_read_back_and_is_closed_to_others() {
    let table = Table::new();
    let dir = table.dir.as_path();
    assert!(Identity::load(dir).unwrap().is_none());
    table.keep(&table.good());
    let identity = Identity::load(dir).unwrap().unwrap();
    assert_eq!(
        (identity.agent().as_str(), identity.generation()),
        ("web-1", 1)
    );
    assert_eq!(identity.silence_ms_max(), 3_600_000);
    assert!(identity.connect(identity.url()).is_ok());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(identity.folder()), 0o700);
    assert_eq!(mode(&dir.join(IDENTITY)), 0o600);
    for name in [EVIDENCE_KEY, TLS_KEY, CERTIFICATE, AUTHORITY, RECORD] {
        assert_eq!(mode(&identity.folder().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_state_that_others_can_enter_is_refused() {
    let table = Table::new();
    table.keep(&table.good());
    for mode in [0o755, 0o710, 0o701] {
        set_mode(&table.dir, mode);
        let error = Identity::load(&table.dir).unwrap_err();
        assert!(matches!(error, IdentityError::Open { mode: seen, .. } if seen == mode));
        assert!(error.hint().unwrap().starts_with("chmod 0700 "));
    }
}

#[test]
fn a_state_of_another_user_is_refused() {
    let dir = Path::new("/state");
    assert!(closed(dir, 0o700, 7, 7).is_ok());
    // Not even root takes keys that another user can replace.
    for (owner, user) in [(1000, 0), (0, 1000), (65_534, 7)] {
        let error = closed(dir, 0o700, owner, user).unwrap_err();
        assert!(matches!(error, IdentityError::Owner { .. }), "{error}");
        assert!(error.hint().unwrap().contains("chown"));
    }
}

#[test]
fn broken_files_are_named() {
    for name in [EVIDENCE_KEY, CERTIFICATE] {
        let table = Table::new();
        table.keep(&table.good());
        let folder = Identity::load(&table.dir).unwrap().unwrap().folder;
        durable::write(&folder.join(name), b"x", 0o600).unwrap();
        let error = Identity::load(&table.dir).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        std::fs::remove_file(folder.join(name)).unwrap();
        let error = Identity::load(&table.dir).unwrap_err();
        assert!(matches!(error, IdentityError::Machine { .. }), "{error}");
    }
    let table = Table::new();
    table.keep(&table.good());
    durable::write(&table.dir.join(IDENTITY), b"{}", 0o600).unwrap();
    let error = Identity::load(&table.dir).unwrap_err();
    assert!(matches!(error, IdentityError::Content { .. }), "{error}");
}
