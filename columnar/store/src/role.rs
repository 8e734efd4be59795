//! Roles: who may log in.

/// A role, as the catalog has it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Its SCRAM-SHA-256 verifier, PostgreSQL's format; `None` without a password.
    pub scram_verifier: Option<String>,
    /// Whether the password is still the one that a first start sets.
    pub default_password: bool,
}
