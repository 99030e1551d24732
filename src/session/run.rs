//! Runs portals: rows to the client, then the command tag.

use std::borrow::Cow;

use super::Session;
use super::client::Client;
use super::cursor::Open;
use super::extended::{Portal, PortalState};
use super::names::Named;
use super::statement::Body;
use crate::error::{Error, Result, SqlState};
use crate::sql::StatementKind;
use crate::types::Row;

/// What a statement that is no query came to.
pub struct Outcome {
    /// Its tag.
    pub tag: Cow<'static, str>,
    /// Its rows; none: it gives none.
    pub rows: Option<Vec<Row>>,
}

impl Outcome {
    /// A tag and nothing else.
    pub fn tag(tag: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome { tag: tag.into(), rows: None }
    }
}

impl Session {
    /// Runs a portal, or runs it on: at most `rows_max` rows; 0 is all. Ends with the tag, or with
    /// `PortalSuspended`.
    pub(super) async fn run(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        match portal.state {
            PortalState::Ready => self.begin_portal(client, portal, rows_max).await,
            PortalState::Running(_) => self.advance_plan(client, portal, rows_max).await,
            PortalState::Held(..) => self.send_held(client, portal, rows_max).await,
            PortalState::Done if portal.prepared.fields.is_some() => {
                client.complete("SELECT 0");
                Ok(())
            }
            PortalState::Done => {
                Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "portal cannot be run"))
            }
        }
    }

    async fn begin_portal(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        let mut prepared = self.revalidate(&portal.prepared)?;
        if let Some(parsed) = prepared.parsed.clone()
            && let StatementKind::Execute(name, arguments) = &parsed.kind
        {
            let (named, parameters) = self.execute_named(&parsed, name, arguments).await?;
            let named = self.revalidate(&named)?;
            prepared = self.resized(&named)?;
            portal.parameters = parameters;
        }
        match &prepared.body {
            Body::Empty => {
                client.empty_query();
                Ok(())
            }
            Body::Plan(plan) => {
                if let Some(current_of) = &plan.current_of {
                    let key = self.cursor_row(current_of)?;
                    portal.parameters = portal.parameters.iter().cloned().chain([key]).collect();
                }
                self.start_plan(client, portal, &prepared, plan, rows_max).await
            }
            Body::Declare(plan, tables) => {
                let open = Open { prepared: &prepared, plan, tables };
                self.declare(open, &portal.parameters).await?;
                portal.state = PortalState::Done;
                client.complete("DECLARE CURSOR");
                Ok(())
            }
            Body::Explain(..) => {
                let rows = self.explain(&prepared, &portal.parameters).await?;
                portal.state = PortalState::Held(rows.into_iter(), "EXPLAIN".into());
                self.send_held(client, portal, rows_max).await
            }
            Body::Utility => {
                let Some(parsed) = &prepared.parsed else { return Ok(()) };
                let outcome = self.utility(client, parsed).await;
                self.tell(client);
                let Outcome { tag, rows } = outcome?;
                match rows {
                    Some(rows) => {
                        portal.state = PortalState::Held(rows.into_iter(), tag);
                        self.send_held(client, portal, rows_max).await
                    }
                    None => {
                        portal.state = PortalState::Done;
                        client.complete(&tag);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Tells the client what the running statement has to say so far.
    pub(super) fn tell(&mut self, client: &mut impl Client) {
        for notice in self.notices.drain(..) {
            client.notice(&notice);
        }
    }

    /// Sends rows that are all here already.
    pub(super) async fn send_held(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        let info = self.environment.info(&mut self.settings);
        let fields = portal.prepared.fields.clone().unwrap_or_default();
        let PortalState::Held(rows, tag) = &mut portal.state else {
            return Err(Error::internal("the portal holds no rows"));
        };
        let named = Named::of(&fields, &portal.formats);
        let context = self.eval_context(&portal.prepared.schema);
        let mut sent = 0;
        for mut row in rows.by_ref() {
            named.write(std::slice::from_mut(&mut row), &context);
            client.row(&row, &fields, &portal.formats, &info.format)?;
            if client.is_full() {
                client.flush().await?;
            }
            sent += 1;
            if sent == rows_max {
                client.suspended();
                return Ok(());
            }
        }
        client.complete(tag);
        portal.state = PortalState::Done;
        Ok(())
    }
}
