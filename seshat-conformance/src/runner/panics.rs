//! Panics of threads under test are kept instead of printed.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Once};

use crate::lab::Record;

thread_local! {
    static WORKS_FOR: RefCell<Option<Arc<Record>>> = const { RefCell::new(None) };
}

/// From now on the panics of this thread belong to `record`.
pub(super) fn belong_to(record: &Arc<Record>) {
    WORKS_FOR.with(|slot| *slot.borrow_mut() = Some(Arc::clone(record)));
}

/// Puts a hook before the process's own, once. Threads that work for no check panic as ever.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let kept = WORKS_FOR.try_with(|slot| match slot.try_borrow().as_deref() {
                Ok(Some(record)) => {
                    record.panicked(describe(info));
                    true
                }
                _ => false,
            });
            if !kept.unwrap_or(false) {
                before(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message(info.payload());
    match info.location() {
        Some(place) => format!("{message:?} at {}:{}", place.file(), place.line()),
        None => format!("{message:?}"),
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
