//! Settings changed by a function: what `set_config` asks for while a statement runs, done when the statement ends.

use std::sync::Arc;

use parking_lot::Mutex;
use spg_expr::SettingAccess;
use spg_plan::bind::{SetScope, SetValue};
use spg_types::Result;

use crate::client::Client;
use crate::session::Session;
use crate::settings::Settings;

/// One call of `set_config`.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    value: SetValue,
    local: bool,
}

/// The settings of a running statement: those of the session, and those it has asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedSettings(Arc<Mutex<Vec<Wanted>>>);

impl WantedSettings {
    fn take(&self) -> Vec<Wanted> {
        std::mem::take(&mut *self.0.lock())
    }

    /// What functions see of the session's settings.
    pub(crate) fn access(&self, session: Settings) -> Arc<dyn SettingAccess> {
        Arc::new(Access { session, wanted: self.clone() })
    }
}

struct Access {
    session: Settings,
    wanted: WantedSettings,
}

impl Access {
    /// The settings as they will be at the end of the statement.
    fn present(&self, wanted: &[Wanted]) -> Result<Settings> {
        let mut settings = self.session.clone();
        for w in wanted {
            match &w.value {
                SetValue::Text(text) => settings.set(&w.name, text)?,
                SetValue::Default => settings.reset(&w.name)?,
            }
        }
        Ok(settings)
    }
}

impl SettingAccess for Access {
    fn get(&self, name: &str) -> Option<String> {
        let wanted = self.wanted.0.lock();
        if wanted.is_empty() {
            return self.session.get(name).ok().map(str::to_owned);
        }
        self.present(&wanted).ok()?.get(name).ok().map(str::to_owned)
    }

    fn set(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        let mut wanted = self.wanted.0.lock();
        let value = value.map_or(SetValue::Default, |v| SetValue::Text(v.to_owned()));
        let mut next = wanted.clone();
        next.push(Wanted { name: name.to_owned(), value, local });
        let shown = self.present(&next)?.get(name)?.to_owned();
        *wanted = next;
        Ok(shown)
    }
}

impl Session {
    /// A statement starts: what a failed one asked for is forgotten.
    pub(crate) fn forget_wanted_settings(&mut self) {
        self.wanted_settings.take();
    }

    /// A statement has ended well: what it asked for happens.
    pub(crate) fn do_wanted_settings(&mut self, client: &mut dyn Client) -> Result<()> {
        for w in self.wanted_settings.take() {
            let in_block = self.transaction.as_ref().is_some_and(|t| t.explicit);
            if w.local && !in_block {
                continue;
            }
            let scope = if w.local { SetScope::Local } else { SetScope::Session };
            self.set(scope, &w.name, &w.value, client)?;
        }
        Ok(())
    }
}
